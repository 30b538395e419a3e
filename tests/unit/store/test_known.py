"""The cache of dimension rows that need not be written again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from collector.store.known import KnownDimensions
from tests.converted import digest_of, dimensions, request, resource_row, scope_row

if TYPE_CHECKING:
    from collector.rows import ConvertedRequest, Dimensions


class Connection:
    """Anything that can be met."""


def about(*names: str) -> ConvertedRequest:
    """Return a request that refers to these resources."""
    return request("a", dims=dimensions([resource_row(name) for name in names]))


def of(*names: str) -> Dimensions:
    """Return these resources."""
    return about(*names).dimensions


def unknown(known: KnownDimensions, *names: str) -> set[str | None]:
    """Return which of the resources would be written."""
    found = known.unknown([about(name) for name in names])
    return {row.service_name for row in found.resources.values()} if found else set()


def test_learned_rows_are_known() -> None:
    """Only the others are written; None when there are none."""
    known = KnownDimensions()
    known.learn(of("a", "b"), known.epoch)

    assert unknown(known, "a", "b", "c") == {"c"}
    assert known.unknown([about("a", "b")]) is None


def test_same_id_with_another_digest_is_unknown() -> None:
    """What is remembered is the content, so a collision is not taken for the row it hits."""
    known = KnownDimensions()
    known.learn(of("a"), known.epoch)
    twin = dimensions([resource_row("a", digest=digest_of("other"))])

    assert known.unknown([request("x", dims=twin)]) is not None


def test_tables_do_not_share_digests() -> None:
    """A scope is not known because a resource with the same digest is."""
    known = KnownDimensions()
    known.learn(of("a"), known.epoch)
    scope = scope_row()._replace(digest=resource_row("a").digest)

    assert known.unknown([request("x", dims=dimensions(scopes=[scope]))]) is not None


def test_what_was_begun_before_a_clear_is_not_learned() -> None:
    """The rows may have been lost with the connection that made everything unknown."""
    known = KnownDimensions()
    epoch = known.epoch
    known.clear()

    known.learn(of("a"), epoch)

    assert unknown(known, "a") == {"a"}


def test_new_connection_clears_a_known_one_does_not() -> None:
    """A connection that was lost while it was idle is replaced without a word."""
    known = KnownDimensions()
    first, second = Connection(), Connection()
    known.meet(first)
    known.learn(of("a"), known.epoch)
    known.meet(first)
    assert unknown(known, "a") == set()

    known.meet(second)

    assert unknown(known, "a") == {"a"}


def test_every_row_is_looked_up_again_once_a_day_but_not_all_at_once() -> None:
    """After 24 hours everything was forgotten once; no hour takes much more than its share."""
    known = KnownDimensions()
    names = [f"host {n}" for n in range(1_000)]
    known.pass_time(100)
    known.learn(of(*names), known.epoch)

    forgotten: list[int] = []
    for hour in range(101, 125):
        before = len(unknown(known, *names))
        known.pass_time(hour)
        forgotten.append(len(unknown(known, *names)) - before)

    assert sum(forgotten) == 1_000
    assert max(forgotten) < 150


def test_long_sleep_forgets_everything() -> None:
    """A process that was stopped for days knows nothing that old."""
    known = KnownDimensions()
    known.pass_time(100)
    known.learn(of("a", "b", "c"), known.epoch)

    known.pass_time(1_000_000)

    assert unknown(known, "a", "b", "c") == {"a", "b", "c"}


def test_clock_that_went_back_forgets_nothing() -> None:
    """Wall clocks jump; the cache takes the new hour and goes on from there."""
    known = KnownDimensions()
    known.pass_time(100)
    known.learn(of("a"), known.epoch)

    known.pass_time(50)
    known.pass_time(51)

    assert len(unknown(known, "a")) <= 1


@given(st.lists(st.integers(0, 300), max_size=400))
def test_memory_is_bounded_and_recent_rows_stay(numbers: list[int]) -> None:
    """Never more digests than allowed; what was used among the last half is known."""
    known = KnownDimensions(entries_max=20)
    for number in numbers:
        missing = known.unknown([about(str(number))])
        if missing is not None:
            known.learn(missing, known.epoch)
        assert sum(map(len, known._young)) <= 10  # pyright: ignore[reportPrivateUsage]
        assert sum(map(len, known._old)) <= 10  # pyright: ignore[reportPrivateUsage]

    last = list(dict.fromkeys(str(number) for number in numbers[-5:]))
    assert unknown(known, *last) == set()
