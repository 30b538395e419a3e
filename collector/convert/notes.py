"""What is unusual about the item at hand; for almost every item: nothing."""

from __future__ import annotations

from collector.rows import Reason

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Notes:
    """Collects, while one item is converted, what its columns cannot say.

    ``raw`` maps protobuf field names to JSON text (see ``rows``); ``repair`` is the reason of the
    first repair; ``effort`` counts parts that were converted one by one, of all items so far.
    """

    __slots__ = ("effort", "raw", "repair")

    def __init__(self) -> None:
        self.raw: dict[str, str] = {}
        self.repair: Reason | None = None
        self.effort = 0

    def mark(self, reason: Reason | None) -> None:
        """Remember a repair; the first reason stays."""
        if self.repair is None:
            self.repair = reason

    def absorb(self, inner: Notes) -> None:
        """Take over the repair and the effort of a part."""
        self.mark(inner.repair)
        self.effort += inner.effort

    def take_raw(self) -> str | None:
        """Return the row's ``raw`` column, and forget it."""
        if not self.raw:
            return None
        text = "{" + ",".join([f'"{name}":{json}' for name, json in self.raw.items()]) + "}"
        self.raw.clear()
        return text

    def clear(self) -> None:
        """Forget the item; its effort was made."""
        self.raw.clear()
        self.repair = None

    def text(self, raw: bytes) -> str:
        """Return ``raw`` as text that PostgreSQL takes: no NUL, and valid UTF-8.

        What is not becomes U+FFFD, and is marked as a repair.
        """
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = raw.decode(errors="replace")
            self.mark(Reason.INVALID_UTF8)
        if "\0" in text:
            text = text.replace("\0", REPLACEMENT)
            self.mark(Reason.NUL)
        return text
