"""The duty room's HTTP: API, live stream, pages."""
