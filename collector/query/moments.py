"""Times as people write them, and the range of a question that they make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from collector.errors import UsageError
from collector.query.lengths import is_length, length_ns
from collector.query.time_range import TimeRange

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def age_ns(text: str, *, ns_min: int = 1) -> int:
    """Return how long ``30s``, ``5m``, ``2h``, ``1d`` or ``2w`` is.

    Raises:
        UsageError: it is no such length, or shorter than ``ns_min``.
    """
    try:
        return length_ns(text, ns_min=ns_min)
    except ValueError as error:
        raise UsageError(f"{text!a} {error}") from None


def moment_ns(text: str, *, now_ns: int, zone: tzinfo | None = None) -> int:
    """Return a moment: a date or time of ISO 8601, an age (``2h``: that long ago), or ``now``.

    Args:
        text: as somebody typed it; a time without an offset is one of ``zone``.
        now_ns: what ages are counted from.
        zone: None is the system's.

    Units: nanoseconds since 1970, of whole microseconds where the text is a time.

    Raises:
        UsageError: it is none of these.
    """
    if text == "now":
        return now_ns
    if is_length(text):
        return now_ns - age_ns(text, ns_min=0)
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=zone) if zone is not None else at.astimezone()
        return (at - _EPOCH) // timedelta(microseconds=1) * 1_000
    except (
        ValueError,
        OverflowError,
        OSError,
    ):  # the latter two: beyond what the system's zone has
        raise UsageError(
            f"{text!a} must be a time such as 2026-01-31T12:00, an age such as 2h, or now"
        ) from None


def time_range(
    since: str | None,
    start: str | None,
    end: str | None,
    *,
    now_ns: int,
    default: str = "1h",
    zone: tzinfo | None = None,
) -> TimeRange:
    """Return the range that ``--since``, or ``--from`` and ``--to``, mean.

    Without any of them it is the last ``default``; without an end it ends now; without a beginning
    it is as long as ``default``.

    Raises:
        UsageError: one cannot be read, they exclude each other, or it ends before it begins.
    """
    if since is not None and (start is not None or end is not None):
        raise UsageError("give --since, or --from and --to")
    end_ns = now_ns if end is None else moment_ns(end, now_ns=now_ns, zone=zone)
    if start is not None:
        start_ns = moment_ns(start, now_ns=now_ns, zone=zone)
    else:
        start_ns = end_ns - age_ns(default if since is None else since)
    if end_ns <= start_ns:
        raise UsageError("--to must be later than --from")
    return TimeRange.from_unix_ns(start_ns, end_ns)
