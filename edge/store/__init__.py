"""What is kept: the alarm journal, the readings and the queue to the city, each in its own SQLite file."""
