"""Values of a JSON text are counted without parsing it, and texts are no values."""

from __future__ import annotations

from math import ceil

import pytest

from collector.convert.json_values import BYTES_PER_TURN, VALUES_MAX, has_too_many_values


def answer(body: bytes) -> tuple[bool, int]:
    """Return whether there are too many, and how many turns were left to others."""
    steps, turns = has_too_many_values(body), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, turns
        turns += 1


@pytest.mark.parametrize(("value", "signs"), [(b"{}", 2), (b"[]", 2), (b"1", 1), (b'""', 1)])
def test_values_of_every_kind_are_counted(value: bytes, signs: int) -> None:
    """Up to the cap a text is parsed, beyond it is not; an empty group counts for two."""
    most = VALUES_MAX // signs

    assert not answer(b"[" + b",".join([value] * most) + b"]")[0]
    assert answer(b"[" + b",".join([value] * (most + 1)) + b"]")[0]


@pytest.mark.parametrize("text", [b"1,2,3,4,", b"[[[[[[[[", b'{\\"a\\":[1,2]},', b"\\\\,,,,,,"])
def test_signs_in_a_text_are_no_values(text: bytes) -> None:
    """A log record may hold a table, or JSON."""
    body = b'{"body":{"stringValue":"' + text * (VALUES_MAX // 4) + b'"}}'

    assert answer(body) == (False, ceil(len(body) / BYTES_PER_TURN))


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("text", [b"\\\\", b'\\",', b"\\,\\\\"])
def test_an_escape_across_two_turns_is_one(text: bytes, shift: int) -> None:
    """Wherever a part ends, a text ends at its own quote."""
    body = b"[" + b" " * shift + b'"' + text * VALUES_MAX + b",,,," * VALUES_MAX + b'"]'

    assert not answer(body)[0]
    assert answer(body + b"," * VALUES_MAX + b",")[0]


def test_a_text_without_an_end_costs_no_more_than_one_with_an_end() -> None:
    """Looked for from each of its quotes anew, the end of 3 MB would be found in hours."""
    body = b"," * (VALUES_MAX + 1) + b'"' + b'\\"' * 1_000_000
    tail = b'"' + b'\\"' * 1_000_000 + b"," * (VALUES_MAX + 1)

    assert answer(body)[0]
    assert answer(tail) == (False, ceil(len(tail) / BYTES_PER_TURN))


def test_many_texts_leave_turns_to_others() -> None:
    """Each of them is looked at, and that takes time."""
    body = b"[" + b",".join([b'",,,,"'] * (VALUES_MAX // 2)) + b"]"

    assert answer(body) == (False, ceil(len(body) / BYTES_PER_TURN))
