"""Logs on standard error: JSON lines, or a readable form on a terminal.

Promises: one event is one line, whatever a sender put into it (control characters are escaped, long
texts are cut); no secret is ever written; a flood of the same trouble is one line per interval.
"""

from __future__ import annotations

import codecs
import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO, cast

import orjson
import structlog

from collector.settings import TelemetrySettings
from collector.telemetry.clock import Clock, SystemClock

TEXT_CHARACTERS_MAX: Final = 2_000
"""One value in a line; a traceback may be ten times as long."""
EVERY_S: Final = 10.0
"""The same trouble is logged at most this often."""
KINDS_MAX: Final = 256
"""Kinds of trouble that are remembered; beyond, all are forgotten, and may be told again."""

_SECRET_KEY: Final = re.compile(
    r"password|passwd|secret|token|authorization|api_?key|dsn", re.IGNORECASE
)
_SECRET_IN_URL: Final = re.compile(r"(\w://[^\s/:@]*):\S*@")
_SECRET_IN_DSN: Final = re.compile(r"(password\s*=\s*)('[^']*'|\S+)", re.IGNORECASE)

_Event = MutableMapping[str, Any]

codecs.lookup("unicode_escape")  # reads a file, which a process without descriptors cannot


def configure(
    settings: TelemetrySettings,
    *,
    stream: TextIO | None = None,
    clock: Clock | None = None,
    **fields: object,
) -> None:
    """Send structlog and standard logging to ``stream`` (standard error) in the chosen format.

    ``fields`` stand in every line. May be called again; the last call holds.
    """
    output: TextIO = sys.stderr if stream is None else stream
    console = settings.log_format == "console" or (
        settings.log_format == "auto" and output.isatty()
    )
    shared: list[Any] = [
        _Constants(fields),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        clean,
    ]
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_add_unsaid, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(colors=wants_colour(output)) if console else _to_json,
            ],
        )
    )
    handler.addFilter(_ForeignFlood(clock or SystemClock()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # Start and end of its servers are ours to tell; its warnings are wanted.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def wants_colour(stream: TextIO) -> bool:
    """Tell whether ``stream`` is a terminal that has colours, and its user did not set NO_COLOR.

    Spec: no-color.org; an empty variable counts as none. TERM=dumb is a terminal without escapes.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


class _Constants:
    """Adds the same fields to every event."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def __call__(self, _logger: object, _method: str, event: _Event) -> _Event:
        for key, value in self._fields.items():
            event.setdefault(key, value)
        return event


def _to_json(_logger: object, _method: str, event: _Event) -> str:
    return orjson.dumps(event, default=repr).decode()


def clean(_logger: object, _method: str, event: _Event) -> _Event:
    """Return ``event`` with secrets masked, control characters escaped and long texts cut."""
    for key, value in event.items():
        if _SECRET_KEY.search(key):
            event[key] = "***"
        elif key == "exception":
            event[key] = _clean_text(str(value), TEXT_CHARACTERS_MAX * 10, keep="\n\t")
        else:
            event[key] = _clean_value(value)
    return event


def _clean_value(value: object) -> object:
    if isinstance(value, str):
        return _clean_text(value, TEXT_CHARACTERS_MAX)
    if isinstance(value, int | float | None):
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset | bytes):
        return _clean_text(repr(cast("object", value)), TEXT_CHARACTERS_MAX)
    return _clean_text(str(value), TEXT_CHARACTERS_MAX)


def _clean_text(text: str, chars_max: int, keep: str = "") -> str:
    if len(text) > chars_max:
        text = f"{text[:chars_max]}... ({len(text)} characters)"
    if "://" in text or "password" in text.lower():
        text = _SECRET_IN_DSN.sub(r"\1***", _SECRET_IN_URL.sub(r"\1:***@", text))
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in keep else sign.encode("unicode_escape").decode()
        for sign in text
    )


class Throttle:
    """Lets each kind of trouble pass once per interval, and counts the others."""

    def __init__(self, clock: Clock, every_s: float = EVERY_S) -> None:
        self._clock = clock
        self._every_s = every_s
        self._last_s: dict[tuple[str, str], float] = {}
        self._unsaid: dict[tuple[str, str], int] = {}

    @property
    def kinds(self) -> int:
        """How many kinds are remembered."""
        return len(self._last_s)

    def unsaid(self, kind: tuple[str, str]) -> int | None:
        """Return how many of this kind were left out since the last one; None: leave this out."""
        now_s = self._clock.monotonic_s()
        last_s = self._last_s.get(kind)
        if last_s is not None and now_s - last_s < self._every_s:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return None
        if len(self._last_s) >= KINDS_MAX and last_s is None:
            self._last_s.clear()
            self._unsaid.clear()
        self._last_s[kind] = now_s
        return self._unsaid.pop(kind, 0)


class _ForeignFlood(logging.Filter):
    """Lets a warning of another library pass once per interval; our own events are not touched.

    asyncio reports each ``accept`` that finds no descriptor, and tries 2 000 times a second.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._throttle = Throttle(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or isinstance(record.msg, dict):
            return True
        unsaid = self._throttle.unsaid((record.name, str(record.msg).partition("\n")[0]))
        record.more_like_this = unsaid
        return unsaid is not None


def _add_unsaid(_logger: object, _method: str, event: _Event) -> _Event:
    """Return the event of another library with how many it stands for."""
    unsaid: int | None = getattr(event["_record"], "more_like_this", None)
    if unsaid is not None:
        event["more_like_this"] = unsaid
    return event


class Trouble:
    """A line per kind of trouble and interval, with an example and how many it stands for.

    A kind is an event and a cause, both our own fixed words, so their number is bounded.
    """

    def __init__(self, name: str, clock: Clock, every_s: float = EVERY_S) -> None:
        self._log = structlog.stdlib.get_logger(name)
        self._throttle = Throttle(clock, every_s)

    def warn(self, event: str, cause: str, **example: object) -> None:
        """Log the event with this example, or only count it while the last line is young.

        A value that can be called is called when the line is written, and only then.
        """
        self._say(logging.WARNING, event, cause, example)

    def error(self, event: str, cause: str, **example: object) -> None:
        """Do the same for what an operator, or we, must look into."""
        self._say(logging.ERROR, event, cause, example)

    def _say(self, level: int, event: str, cause: str, example: Mapping[str, object]) -> None:
        unsaid = self._throttle.unsaid((event, cause))
        if unsaid is not None:
            made = {key: value() if callable(value) else value for key, value in example.items()}
            self._log.log(level, event, cause=cause, **made, more_like_this=unsaid)
