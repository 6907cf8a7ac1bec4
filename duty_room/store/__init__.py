"""The duty room's truth on disk: SQLAlchemy Core on SQLite, or PostgreSQL by url."""
