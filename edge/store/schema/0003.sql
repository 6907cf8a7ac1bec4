-- Where retention has cut the journal: events up to seq are gone, hash is that of the last of them. The chain of what
-- is left begins there.
CREATE TABLE cut (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
