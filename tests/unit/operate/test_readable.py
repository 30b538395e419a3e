"""Any bytes become a tree, and the tree a text that no terminal obeys."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cli.dead_letters.text import (
    GROUPS_HEADING,
    HEADING,
    group_line,
    head_line,
    letter_lines,
    letter_map,
    result_line,
    tree_lines,
)
from collector.cli.printing import INVISIBLE, ascii_json_line, escaped, escaped_json
from collector.convert.tags import field_of
from collector.operate.letters import Outlook
from collector.operate.readable import tree_of
from collector.operate.replay_result import End, Result
from collector.rows import Signal
from collector.store.letter_queries import Group, Letter, LetterHead
from tests.factories import request_of
from tests.unit.convert.converting import SPAN_ID, TRACE_ID, on_the_wire, span_of, traces_of

HOSTILE = "".join(map(chr, (*range(32), *range(0x7F, 0xA0)))) + (
    "\u061c\u200b\u200e\u202a\u202e\u2028\u2066\u2069\ufeff\ue000\\\U000e0001"
    "\u034f\u115f\u1160\u17b4\u180b\u180f\u3164\ufe00\ufe0f\uffa0\U000e0100\U000e01ef\ud800"
)


def shown(letter: Letter) -> tuple[str, str]:
    """Return the letter as a text and as JSON."""
    tree = tree_of(Signal.TRACES, letter.payload)
    outlook = Outlook(False, "no")
    text = "\n".join(letter_lines(letter, "", outlook, tree))
    return text, json.dumps(letter_map(letter, "", outlook, tree))


def letter_of(payload: bytes, *, reason: str = "undecodable") -> Letter:
    """Return a letter of traces."""
    return Letter(LetterHead(7, "traces", 0, "quarantined", reason, 0, len(payload)), payload)


@pytest.mark.parametrize("sign", HOSTILE)
def test_nothing_that_a_terminal_obeys_is_left(sign: str) -> None:
    """Control characters, C1, bidi controls, zero widths, separators, private use, the backslash."""
    text = escaped(f"a{sign}b")

    assert text.isascii()
    assert text.isprintable()
    assert text.encode().decode("unicode_escape") == f"a{sign}b"


@pytest.mark.parametrize("sign", HOSTILE)
def test_nothing_that_a_terminal_obeys_is_left_in_json(sign: str) -> None:
    """Neither in a key nor in a value, and it is the same value."""
    text = escaped_json({sign: [f"a{sign}b", "é"]})

    assert text.isprintable()
    assert not INVISIBLE.search(text)
    assert json.loads(text) == {sign: [f"a{sign}b", "é"]}


def test_what_people_write_stays_as_it_is() -> None:
    """Other scripts are readable."""
    assert escaped("Zürich 東京 🙂 a b") == "Zürich 東京 🙂 a b"


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """DEL and C1 are escaped too, and the value is exact."""
    ascii_json_line({"text": HOSTILE})

    out = capsys.readouterr().out
    assert out.rstrip("\n").isascii()
    assert out.rstrip("\n").isprintable()
    assert json.loads(out) == {"text": HOSTILE}


def test_a_request_is_shown_by_its_own_names() -> None:
    """Ids in hex, enums by name, numbers as they are."""
    payload = traces_of(span_of({"a": 1, "b": -1.5}, kind=2)).SerializeToString()

    tree = tree_of(Signal.TRACES, payload)

    [span] = tree.fields["resource_spans"][0]["scope_spans"][0]["spans"]
    assert tree.whole
    assert (span["trace_id"], span["span_id"]) == (TRACE_ID.hex(), SPAN_ID.hex())
    assert (span["name"], span["kind"]) == ("work", "SPAN_KIND_SERVER")
    assert [a["value"] for a in span["attributes"]] == [{"int_value": 1}, {"double_value": -1.5}]


@pytest.mark.parametrize("signal", Signal)
def test_every_kind_of_item_is_read_whole(signal: Signal) -> None:
    """Packed numbers, zigzag, fixed: nothing is unknown or broken."""
    payload = request_of(signal, items=200).SerializeToString()

    tree = tree_of(signal, payload, fields_max=10**6)

    assert tree.whole
    assert "#" not in "".join(name for name in names(tree.fields))


def names(value: Any) -> list[str]:
    """Return every field name in a tree."""
    if isinstance(value, dict):
        return [n for k, v in value.items() for n in (k, *names(v))]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return [n for one in value for n in names(one)] if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def test_what_is_broken_is_shown_up_to_there() -> None:
    """The name before the break, where it breaks, and that not all is shown."""
    span = field_of(0x2A, b"name \xff\xfe") + b"\x12\x7f"
    payload = on_the_wire(span)

    tree = tree_of(Signal.TRACES, payload)

    [found] = tree.fields["resource_spans"][0]["scope_spans"][0]["spans"]
    assert found["name"] == "name \\xff\\xfe"
    assert found["!broken"]["bytes"] == "127f"
    assert not tree.whole


def test_a_tree_is_bounded() -> None:
    """In fields, and in depth."""
    value = b""
    for _ in range(500):
        value = field_of(0x2A, field_of(0x0A, value))
    deep = on_the_wire(field_of(0x4A, field_of(0x12, value)))
    wide = on_the_wire(*[field_of(0x2A, b"x")] * 500)

    assert not tree_of(Signal.TRACES, deep).whole
    assert len(list(tree_lines(tree_of(Signal.TRACES, wide, fields_max=100).fields))) < 120


@given(st.binary(max_size=300) | st.binary(max_size=100).map(on_the_wire))
def test_any_bytes_can_be_shown(payload: bytes) -> None:
    """Never an exception, and each line is safe for a terminal."""
    text, as_json = shown(letter_of(payload))

    assert all(line.isprintable() for line in text.split("\n"))
    assert as_json.isascii()
    json.loads(as_json, parse_constant=pytest.fail)


def test_a_letter_that_somebody_else_wrote_is_harmless_too() -> None:
    """Its columns are texts like others."""
    text, _ = shown(letter_of(b"", reason="\x1b[2J"))

    assert "reason    \\x1b[2J" in text


def test_a_table_has_one_safe_line_for_each_letter() -> None:
    """Columns stand below their headings, and no column can add a line or a command."""
    head = LetterHead(7, "traces", 0, "quarantined", "a\x1b\nb", 3, 12_345)
    group = Group("logs", "repaired", "nul", 1_234, 99, 0, 86_400_000_000)
    result = Result(7, "traces\n", End.STORED, items=2, left=1, why="invalid_span_id")

    assert head_line(head) == (
        "         7  2000-01-01 00:00:00  traces   quarantined  a\\x1b\\nb"
        "                 3      12,345"
    )
    assert len(HEADING) == len(head_line(head))
    assert group_line(group).split() == [
        *("logs", "repaired", "nul", "1,234", "99"),
        *("2000-01-01", "00:00:00", "2000-01-02", "00:00:00"),
    ]
    assert len(GROUPS_HEADING) <= len(group_line(group))
    assert result_line(result).endswith("stored     2 stored, 1 left; invalid_span_id")
    assert result_line(result).isprintable()
