"""Bounds of the duty room alone, each with its reason; the shared ones are in edge.limits."""

from __future__ import annotations

GROUP_COMMIT_MAX = 64
"""Jobs in one transaction: under load a group forms by itself, and one sync serves all of it."""
STREAM_KEEP_S = 7 * 86400.0
STREAM_KEEP_ROWS = 1_000_000
"""A console that was away for a week still resumes; beyond that it takes a new snapshot."""
STREAM_PAGE_ROWS = 200
"""Items in one batch of the stream: about 400 kB at most, one frame of work for a browser."""
STREAM_COALESCE_S = 0.1
"""Lower priorities wait this long for company; priority 1 is sent at once."""
FEED_ROWS = 2_000
"""Newest stream rows kept in memory: a storm costs one read for all consoles, not one each."""
STREAM_HB_S = 5.0
"""The console marks its data as old after 12 s: two beats may be lost."""
STREAMS_MAX = 200
"""Open streams: each is a cursor, but a file descriptor too."""
OUTCOME_WAIT_S = 10.0
"""No outcome of a command within this: the building has not heard you."""
COMMAND_LIFE_S = 30.0
"""A command that comes later than this could answer a ring that its person never saw."""
COMMAND_GAPS_S = (2.0, 4.0, 8.0, 8.0, 8.0)
"""Gaps between publications of a command without an outcome; the id stays, so it has one effect."""
CONSOLE_HEALTH_S = 30.0
"""A console counts as audible this long after it said so (it says so every 10 s)."""
SESSION_IDLE_S, SESSION_MAX_S = 12 * 3600.0, 24 * 3600.0
"""A shift, and a day (reliability reference §6.2)."""
SIGN_IN_S = 24 * 3600.0
"""A sign-in link is used once, within a day."""
ANSWERS_KEEP_S = 86400.0
"""Idempotency keys are remembered for a day: longer than any client repeats."""
LINK_KEEP_S = 86400.0
"""A person's page lives until the incident has been closed for a day."""
RATING_EDIT_S, RATING_LIFE_S = 86400.0, 7 * 86400.0
"""A rating may be corrected for a day and given for a week."""
RECORDS_KEEP_S = 365 * 86400.0
"""Incidents and their log: GB 50440 asks for one year of records."""
BODY_BYTES_MAX = 64 * 1024
"""Requests of people are small; anything larger is refused before it is read."""
DEAD_LETTER_BYTES = 2_048
DEAD_LETTERS_MAX = 10_000
"""Enough to see what a broken sender sends, without letting it fill the disk."""
LEDGER_ROWS_MAX = 50_000
"""One sheet that people still can open."""
WARN_RATE_S = 60.0
"""The same trouble is written to the service log once a minute."""
