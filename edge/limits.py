"""Every bound in the product, each with its reason. Durations in seconds, sizes in bytes or items."""

from __future__ import annotations

BATCH_READINGS_MAX = 256
"""Readings in one batch: one commit of that size stays below 1 ms at the measured 147k rows/s."""
BATCHES_AWAITING_COMMIT_MAX = 8
"""Per link: enough to keep group commit fed, small enough that a stuck disk stops the socket, not the memory."""
PAYLOAD_BYTES_MAX = 64 * 1024
"""Larger MQTT payloads are refused and counted: no device of a building needs more."""
JSON_DEPTH_MAX = 16
"""Nesting a device's payload may have before it counts as garbled."""
QUEUE_MESSAGES_MAX = 1024
"""Messages an MQTT session holds before it stops reading its socket."""
RECEIVE_MAXIMUM = 512
"""MQTT 5 receive maximum; a hint only, the own queue is the bound."""

TICK_S = 0.25
"""How often timers are looked at: a quarter of the shortest duration promised to people."""
LINK_DOWN_DELAY_S = 5.0
"""A link must be gone this long before link.down: a broker restart is not an event for people."""
LINK_BACKOFF_S_MIN, LINK_BACKOFF_S_MAX = 0.5, 15.0
"""Wait between attempts to open a link: back within 30 s after a replug."""
FAULT_AFTER_S_MAX = 200.0
"""A point with bad values becomes device.fault after its supervision time, at most this (promise 8)."""
CLEAR_GOOD_READINGS = 2
"""Raise on one good reading, clear on two."""
PRESS_DEBOUNCE_S = 0.5
"""A transmitter repeats its code while pressed; within this it is one press."""

RECEIPT_WAIT_S = 28.0
"""Trigger (a) of the gateway's ladder: no receipt of the duty room. The rest to 30 s is the telling."""
ACK_WAIT_S = {1: 60.0, 2: 180.0}
"""Trigger (b): no acknowledgement by a named person, per priority. Lower priorities are not told by the gateway."""
UNHEARD_WAIT_S = 30.0
"""Trigger (c): the duty room says that nobody can hear."""
LADDER_STEP_S = {1: 60.0, 2: 180.0}
"""Time a person of the roster has before the next is told."""
LADDER_REPEAT_S = 120.0
"""The last step is repeated this often until a named person acknowledges."""
SILENCE_S = 60.0
"""A silenced sounder stays silent this long, then sounds again unless a person acknowledged."""
RE_ALARM_S = {1: 1800.0, 2: 7200.0}
"""ReAlarmTime: acknowledged, still active, nobody dealt with it: ring again."""
SHELVE_S_MAX = 8 * 3600.0
"""Longest shelving; priority 1 is never shelved."""
CLOCK_STEP_S = 2.0
"""A wall clock that moves this much at once was set; NTP slews far slower."""
CLOCK_UNTRUSTED_S = 3600.0
"""So long without a synchronised clock is worth a person's look; alarms never wait for it."""
CLOCK_BACK_S = 60.0
"""A wall clock set back further than this makes what was put off by it due at once: rather rung twice than never."""
HEARTBEAT_S = 10.0
"""Heartbeats between gateway and duty room, both ways."""
PEER_LOST_S = 90.0
"""Nothing heard from the other end: gateway.lost there, duty_room.unheard here."""
RESEND_GAPS_S = (2.0, 4.0, 8.0, 16.0, 30.0)
"""Gaps between publications of an event without a receipt; the last repeats."""
OUTBOX_WINDOW = 256
"""Unreceipted events in flight to the duty room: bounds its memory and ours."""
NOTICE_CHILD_S = 20.0
"""A messenger child process is killed after this."""
NOTICE_CHILDREN_MAX = 4
"""Messenger children at once: each costs about 40 MB while it lives."""
NOTICE_RETRY_GAPS_S = (5.0, 15.0, 30.0, 60.0)
"""Gaps between attempts to hand one notice to its service; the last repeats while the alarm is unanswered."""
CANARY_S = 60.0
"""A row is committed when nothing was for this long: proves that the disk still takes commits."""

CLOCK_FLOOR_MS = 1_790_000_000_000
"""September 2026: a wall clock before this has not been set yet, whatever it says."""
CITY_QUEUE_BYTES = 16 * 1024 * 1024
"""Store-and-forward to the city; oldest summaries are shed first, alarm facts last."""
READINGS_FLUSH_S = 300.0
"""Changes of readings are written this often: flash wears."""
ALARMS_KEEP_DAYS = 400
"""Closed alarms stay at least a year (GB 50440 asks for one), and some weeks to notice that."""
READINGS_KEEP_DAYS = 30
"""Raw readings tell how people live; they are kept as short as is useful."""
