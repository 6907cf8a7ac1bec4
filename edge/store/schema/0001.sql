-- Journal, version 1. Never edited after release: a change is a new file.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,              -- gap-free from 1
    event_id TEXT NOT NULL UNIQUE,
    alarm_id TEXT NOT NULL,
    device TEXT NOT NULL,
    cause TEXT,                           -- the sender's own id of its report, where it has one
    receipted INTEGER NOT NULL DEFAULT 0, -- 1 once the duty room has committed it
    body TEXT NOT NULL,                   -- the event, JSON with sorted keys
    hash BLOB NOT NULL                    -- SHA-256 of the previous hash and the body
) STRICT;
CREATE INDEX events_alarm ON events (alarm_id);
CREATE INDEX events_pending ON events (seq) WHERE receipted = 0;
CREATE UNIQUE INDEX events_cause ON events (device, cause) WHERE cause IS NOT NULL;
CREATE TABLE alarms (                     -- derived from events, so that a start need not read them all
    alarm_id TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    class TEXT NOT NULL,
    generation INTEGER NOT NULL,
    open INTEGER NOT NULL
) STRICT;
CREATE INDEX alarms_open ON alarms (open) WHERE open = 1;
CREATE INDEX alarms_generation ON alarms (device, class, generation);
CREATE TABLE outcomes (                   -- the same command always gets the same answer
    command_id TEXT PRIMARY KEY,
    result TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE ladders (                    -- the gateway's own ladder: its next step and when
    alarm_id TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    step INTEGER NOT NULL,
    due_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE notices (                    -- duties to tell one person by one channel
    notice_id TEXT PRIMARY KEY,
    alarm_id TEXT NOT NULL,
    body TEXT NOT NULL,
    settled TEXT                          -- how it ended, NULL while it is owed
) STRICT;
CREATE INDEX notices_owed ON notices (notice_id) WHERE settled IS NULL;
CREATE TABLE canary (                     -- one row, written when nothing else was: proves that commits still work
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at_ms INTEGER NOT NULL
) STRICT;
