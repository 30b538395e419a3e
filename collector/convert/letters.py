"""Dead letters of one request: each bad item's original bytes, as a request that can be replayed."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from collector.convert.extract import Extractor
from collector.convert.framing import Leaf, Walk
from collector.rows import ConvertedRequest, DeadLetterRow, Reason, Signal

LETTER_BYTES = 150
"""What a letter costs besides its payload."""

FREE_BYTES = 2**20
LETTERS_PER_TURN, BYTES_PER_TURN = 1_000, 2**22
"""Letters, and their bytes, that are written between two turns of the event loop."""

UNLIMITED = 2**40


def letters_of(
    request: ConvertedRequest, reasons: Mapping[int, Reason]
) -> Generator[None, None, list[DeadLetterRow]]:
    """Return letters of items whose rows cannot be stored; yield now and then.

    The request is walked once for all of them. A letter that several items share has one reason.

    Args:
        request: what ``Converter`` made of its payload.
        reasons: reason by item number, counted from 0 in the order of the wire.
    """
    walk = Walk(request.signal, request.payload, items_max=UNLIMITED, large_bytes=UNLIMITED)
    leaves = yield from walk.steps()
    writer = LetterWriter(
        request.signal, request.payload, leaves, request.received_at, attempts=request.attempts
    )
    for reason in sorted(set(reasons.values())):
        alike = {index: reason for index in reasons if reasons[index] == reason}
        yield from writer.write("quarantined", alike)
    return writer.letters


class LetterWriter:
    """Writes letters until their bytes reach a budget; the items left over share one letter.

    A one-item request repeats the item's resource and scope, so without the budget a thousand bad
    items under a resource of 60 MiB would become 60 GiB.

    Args:
        signal: of the request.
        payload: its bytes.
        leaves: where its items are.
        received_at: microseconds since 2000.
        attempts: replays that have not stored the items.
    """

    def __init__(
        self,
        signal: Signal,
        payload: bytes,
        leaves: Sequence[Leaf],
        received_at: int,
        *,
        attempts: int = 0,
    ) -> None:
        self._signal = signal
        self._extractor = Extractor(payload, leaves)
        self._received_at = received_at
        self._attempts = attempts
        self._bytes_left = FREE_BYTES + len(payload)
        self.letters: list[DeadLetterRow] = []
        self.size_bytes = 0

    def write(self, outcome: str, reasons: Mapping[int, Reason]) -> Generator[None]:
        """Append the letters of items with this ``outcome``; yield now and then.

        Args:
            outcome: ``"quarantined"`` or ``"repaired"``.
            reasons: reason by item number.
        """
        indexes = sorted(reasons)
        turn, turn_bytes = 0, self.size_bytes
        for written, index in enumerate(indexes):
            payload = self._extractor.cut([index])
            if LETTER_BYTES + len(payload) > self._bytes_left:
                rest = self._extractor.cut(indexes[written:])
                self._append(rest, reasons[index], outcome)
                return
            self._append(payload, reasons[index], outcome)
            if written >= turn + LETTERS_PER_TURN or self.size_bytes > turn_bytes + BYTES_PER_TURN:
                turn, turn_bytes = written, self.size_bytes
                yield

    def _append(self, payload: bytes, reason: Reason, outcome: str) -> None:
        self._bytes_left -= LETTER_BYTES + len(payload)
        self.size_bytes += LETTER_BYTES + len(payload)
        letter = DeadLetterRow(
            self._signal, self._received_at, reason, outcome, payload, self._attempts
        )
        self.letters.append(letter)
