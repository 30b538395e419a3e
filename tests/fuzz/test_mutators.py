"""Mutators are a function of their seed, stay small, and most often hit what is behind the frame."""

from __future__ import annotations

from random import Random

import pytest

from collector.rows import Signal
from tests.factories import request_of
from tests.fuzz import lenient, wire_tree
from tests.fuzz.case import DOORS, Case, Door, load_all
from tests.fuzz.mutate import BYTES_MAX, mutate
from tests.fuzz.wire_mutator import mutate_wire
from tests.strategies import REQUEST_TYPES


@pytest.mark.parametrize("signal", Signal)
def test_a_tree_is_written_as_it_was_read(signal: Signal) -> None:
    """Field by field, whatever their order and whether they are known."""
    wire = (
        request_of(signal, items=20).SerializeToString() + b"\xd3\x3e\x08\x01\xd4\x3e\xd0\x3e\x07"
    )

    fields = wire_tree.read(wire, REQUEST_TYPES[signal].DESCRIPTOR)

    assert fields is not None
    assert len(wire_tree.holders_of(fields)) > 100
    assert wire_tree.write(fields) == wire


@pytest.mark.parametrize("door", DOORS, ids=str)
def test_a_seed_decides_everything(door: Door) -> None:
    """What a run found, another one finds again; and it stays small enough to be looked at."""
    cases = [case for _, case in load_all() if case.door == door]
    changed: set[Case] = set()

    for seed in range(300):
        case, other = cases[seed % len(cases)], cases[-1].data
        once = mutate(case, Random(seed), other=other)
        changed.add(once)

        assert mutate(case, Random(seed), other=other) == once
        assert len(once.data) <= BYTES_MAX

    assert len(changed) > 200


@pytest.mark.parametrize("signal", Signal)
def test_most_changes_leave_a_request(signal: Signal) -> None:
    """What breaks the frame is refused at once, and tells nothing about what is behind it."""
    wire = request_of(signal, items=2).SerializeToString()

    changed = [mutate_wire(signal, wire, Random(seed)) for seed in range(200)]

    assert sum(lenient.read(signal, new) is not None for new in changed) > 60
    assert len(set(changed)) > 150
