"""The event stream of Server-Sent Events, read piece by piece as it comes.

Spec: WHATWG HTML, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event stream".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from collector.errors import TailLostError

EVENT_BYTES_MAX: Final = 4 * 2**20
"""Of one line, and of one event's data. An item is some KiB; a server gone mad is no reason to swap."""

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BOM: Final = b"\xef\xbb\xbf"
_RETRY_DIGITS_MAX: Final = 9


class Event(NamedTuple):
    """One event as the server sent it."""

    kind: str
    """``message`` where the server named none."""
    data: str
    """Its lines, joined with line feeds."""


class EventStream:
    """Turns the bytes of one connection into events; make a new one for each connection.

    ``last_event_id`` and ``retry_ms`` are what the server said last; the id begins as that of the
    connection before. Bytes that are no UTF-8 become U+FFFD, as a browser has it. What stands after
    the last blank line when the connection ends is no event.
    """

    def __init__(self, *, last_event_id: str = "", bytes_max: int = EVENT_BYTES_MAX) -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._bytes_max = bytes_max
        self._line = bytearray()  # the beginning of a line whose end has not come
        self._is_first_line = True
        self._ends_in_cr = False
        self._kind = ""
        self._data: list[str] = []
        self._data_bytes = 0
        self._id = last_event_id

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yield each event that this piece completes, while ``last_event_id`` is its own.

        A CR ends its line at once: whether LF follows is seen with the next piece, and an event does
        not wait for it. Take all of them before the next piece.

        Raises:
            TailLostError: a line or an event is longer than ``bytes_max``; what came before it was
                yielded.
        """
        if self._ends_in_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._ends_in_cr = False
        start = 0
        for end in _LINE_END.finditer(piece):
            self._grow(piece[start : end.start()])
            event = self._take_line()
            start = end.end()
            self._ends_in_cr = start == len(piece) and end[0] == b"\r"
            if event is not None:
                yield event
        self._grow(piece[start:])

    def _grow(self, part: bytes) -> None:
        self._line += part
        if len(self._line) + self._data_bytes > self._bytes_max:
            raise TailLostError(f"an event is longer than {self._bytes_max:,} bytes")

    def _take_line(self) -> Event | None:
        line = bytes(self._line)
        self._line.clear()
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        if not line.startswith(b":"):
            name, _, value = line.decode("utf-8", "replace").partition(":")
            self._field(name, value.removeprefix(" "), len(line))
        return None

    def _field(self, name: str, value: str, line_bytes: int) -> None:
        match name:
            case "data":
                self._data.append(value)
                self._data_bytes += line_bytes
            case "event":
                self._kind = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value[: _RETRY_DIGITS_MAX + 1])
            case _:
                pass  # as the specification has it: an unknown field is left out

    def _dispatch(self) -> Event | None:
        """End an event at its blank line; without data it is none, but its id counts."""
        self.last_event_id = self._id
        kind, data = self._kind or "message", self._data
        self._kind, self._data, self._data_bytes = "", [], 0
        return Event(kind, "\n".join(data)) if data else None
