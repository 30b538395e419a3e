"""How many examples a property is tested with: the same at each commit, others in a long run."""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, settings

MANY: Final = 2_000


def same_examples(count: int) -> settings:
    """Return settings that draw the same ``count`` examples at each run, however large they are."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def new_examples() -> settings:
    """Return settings that draw ``MANY`` others at each run."""
    return settings(same_examples(MANY), derandomize=False)
