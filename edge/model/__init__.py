"""The nouns of the product (see docs/words.md). Frozen, standard library only, imports nothing of ours.

Times: ``*_ms`` is wall time, integer milliseconds since 1970-01-01 UTC; ``*_s`` is a duration or a
monotonic instant in seconds. Unknown is ``None``.
"""

from edge.model.alarms import (
    LOCAL_KEY,
    RINGING_KINDS,
    AlarmEvent,
    AlarmState,
    Clock,
    Command,
    CommandKind,
    CommandOutcome,
    Condition,
    EventKind,
    Person,
    Result,
    Via,
)
from edge.model.classes import (
    CLASSES,
    AlarmClass,
    ClassInfo,
)
from edge.model.devices import (
    Device,
    Linkage,
    Place,
    Point,
    Rule,
    RuleKind,
    Sounder,
    SounderStart,
)
from edge.model.moments import (
    parse_rfc3339,
    rfc3339,
)
from edge.model.readings import (
    SILENT_CAUSES,
    BadCause,
    Batch,
    PointKey,
    PollItem,
    Quality,
    Reading,
    ReadRequest,
    Value,
    Write,
)
from edge.model.telling import (
    Delivered,
    Notice,
    Outcome,
    Recipient,
    Refused,
    TryLater,
    WriteFn,
)

__all__ = [
    "AlarmClass",
    "AlarmEvent",
    "AlarmState",
    "BadCause",
    "Batch",
    "CLASSES",
    "ClassInfo",
    "Clock",
    "Command",
    "CommandKind",
    "CommandOutcome",
    "Condition",
    "Delivered",
    "Device",
    "EventKind",
    "LOCAL_KEY",
    "Linkage",
    "Notice",
    "Outcome",
    "Person",
    "Place",
    "Point",
    "PointKey",
    "PollItem",
    "Quality",
    "RINGING_KINDS",
    "ReadRequest",
    "Reading",
    "Recipient",
    "Refused",
    "Result",
    "Rule",
    "RuleKind",
    "SILENT_CAUSES",
    "Sounder",
    "SounderStart",
    "TryLater",
    "Value",
    "Via",
    "Write",
    "WriteFn",
    "parse_rfc3339",
    "rfc3339",
]
