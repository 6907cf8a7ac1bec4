"""Wall time on the wire."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(at_ms: int | None) -> str | None:
    """Milliseconds since 1970 as RFC 3339 UTC with milliseconds and ``Z``; None stays None."""
    if at_ms is None:
        return None
    moment = datetime.fromtimestamp(at_ms / 1000, tz=UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def parse_rfc3339(text: str) -> int:
    """RFC 3339 text to milliseconds since 1970. Raises ValueError for a time without a zone or no time at all."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone (write …Z)")
    return round(moment.timestamp() * 1000)
