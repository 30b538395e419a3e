"""How much fits: the bytes that all queues share, and the rule for what is large."""

from __future__ import annotations


class ByteBudget:
    """Bytes that one process may hold in its queues and on the way into them, all signals together."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0

    @property
    def free(self) -> int:
        """Bytes that are left; 0 when a request larger than the whole budget is held."""
        return max(0, self.bytes_max - self.used)


def fits(amount: int, used: int, bound: int) -> bool:
    """Whether ``amount`` may be added to ``used``.

    An amount of more than half the bound is let in while at most half of it is used, however large,
    or a valid request could be refused for as long as small ones come (promise 4). So the bound is
    passed by at most one such request, and nothing else is let in until it is settled.
    """
    half = bound // 2
    return used + amount <= bound or (amount > half and used <= half)
