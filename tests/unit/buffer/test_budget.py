"""Bytes that queues share: what is kept for small requests, and that large ones get in all the same."""

from __future__ import annotations

import pytest

from collector.buffer.budget import ByteBudget

BYTES_MAX, SMALL, LARGE = 800, 10, 100
KEPT = 100


def budget(*held: int) -> ByteBudget:
    """Return a budget of 800 with these requests in it; up to 10 is small."""
    made = ByteBudget(BYTES_MAX, small_bytes=SMALL)
    for size_bytes in held:
        made.add(size_bytes)
    return made


def test_large_requests_leave_the_last_of_it_to_small_ones() -> None:
    """Seven of 100 fill what is theirs; small ones find the rest, to the last byte."""
    full = budget(*[LARGE] * 7)

    assert not full.has_room(SMALL + 1)
    while full.has_room(SMALL):
        full.add(SMALL)

    assert full.used == BYTES_MAX


@pytest.mark.parametrize("giant", [BYTES_MAX - 1, BYTES_MAX, 10 * BYTES_MAX])
def test_small_requests_have_their_part_beside_a_giant(giant: int) -> None:
    """Which passes the bound alone; they pass it by no more than is kept for them."""
    held = budget(giant)

    assert not held.has_room(SMALL + 1)
    while held.has_room(SMALL):
        held.add(SMALL)

    assert held.used == giant + KEPT


@pytest.mark.parametrize("size_bytes", [SMALL + 1, 350, 351, 700, 701, BYTES_MAX, 10 * BYTES_MAX])
def test_every_size_gets_in_while_half_of_the_large_part_is_free(size_bytes: int) -> None:
    """However many small ones come, a large request has its turn."""
    assert budget(350).has_room(size_bytes)


def test_small_requests_alone_may_have_all_of_it() -> None:
    """What is kept for them is not all that they get."""
    full = budget(*[SMALL] * 80)

    assert not full.has_room(1)
    full.remove(SMALL)
    assert full.has_room(SMALL)


def test_what_is_given_back_is_free_for_its_kind() -> None:
    """The books of small ones are their own."""
    held = budget(BYTES_MAX, *[SMALL] * 10)
    assert not held.has_room(SMALL)

    held.remove(SMALL)

    assert held.has_room(SMALL)
    held.remove(BYTES_MAX)
    assert held.used == 90
