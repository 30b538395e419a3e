"""How much fits: the bytes that all queues share, and the rule for what is large."""

from __future__ import annotations

from typing import Final

SMALL_BYTES: Final = 2**18
"""Up to this, converted, a request may use what is kept for small ones."""
KEPT_FOR_SMALL: Final = 8
"""One part in so many of the budget."""


class ByteBudget:
    """Bytes that one process may hold in its queues and on the way into them, all signals together.

    Large requests never take the last of it: an eighth is kept for small ones, who find it free
    also while one larger than the whole budget is held. Beside four senders of 45 MiB of text a
    third to a half of all small calls were refused without it.
    """

    def __init__(self, bytes_max: int, *, small_bytes: int = SMALL_BYTES) -> None:
        self.bytes_max = bytes_max
        self.used = 0
        self._small_bytes = small_bytes
        self._used_by_small = 0
        self._kept = bytes_max // KEPT_FOR_SMALL

    @property
    def free(self) -> int:
        """Bytes that are left; 0 when a request larger than the whole budget is held."""
        return max(0, self.bytes_max - self.used)

    def has_room(self, size_bytes: int) -> bool:
        """Whether a request of this size may come; see ``fits`` for one that is very large."""
        if size_bytes > self._small_bytes:
            return fits(size_bytes, self.used, self.bytes_max - self._kept)
        return (
            fits(size_bytes, self.used, self.bytes_max)
            or self._used_by_small + size_bytes <= self._kept
        )

    def add(self, size_bytes: int) -> None:
        """Charge a request, whether there is room or not."""
        self.used += size_bytes
        if size_bytes <= self._small_bytes:
            self._used_by_small += size_bytes

    def remove(self, size_bytes: int) -> None:
        """Give back what was charged for one request, in one piece."""
        self.used -= size_bytes
        if size_bytes <= self._small_bytes:
            self._used_by_small -= size_bytes


def fits(amount: int, used: int, bound: int) -> bool:
    """Whether ``amount`` may be added to ``used``.

    An amount of more than half the bound is let in while at most half of it is used, however large,
    or a valid request could be refused for as long as small ones come (promise 4). So the bound is
    passed by at most one such request, and no other large one is let in until it is settled.
    """
    half = bound // 2
    return used + amount <= bound or (amount > half and used <= half)
