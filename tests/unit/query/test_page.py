"""query.page: a cursor comes back as it went out, and nothing else is taken for one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import BadParameterError
from collector.query.page import CURSOR_CHARACTERS_MAX, Cursor, page_of


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(codec="utf-8"), max_size=32),
    st.booleans(),
)
def test_a_cursor_comes_back_as_it_went_out(number: int, text: str, is_backward: bool) -> None:
    """Whatever its key holds; the text needs no escape in a URL."""
    cursor = Cursor((number, text, None), is_backward)

    written = str(cursor)

    assert Cursor.parse(written, int, str, (int, type(None))) == cursor
    assert set(written) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def _coded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "é", "AAAA", "a" * (CURSOR_CHARACTERS_MAX + 1), _coded("1"), _coded("{}"),
        _coded("[]"), _coded("[0]"), _coded("[2,1]"), _coded("[0,true]"), _coded('[0,"1"]'),
        _coded("[0,1,1]"), _coded("[0,null]"), _coded("[0,9223372036854775808]"), _coded("[0,1.5]"),
        _coded('["0",1]'), _coded("[[],1]"),
    ],
)  # fmt: skip
def test_what_no_answer_has_given_is_refused(text: str) -> None:
    """It names the parameter, and repeats nothing of it."""
    with pytest.raises(BadParameterError, match="cursor"):
        Cursor.parse(text, int)


@pytest.mark.parametrize("is_backward", [False, True])
def test_a_page_that_was_cut_leads_on(is_backward: bool) -> None:
    """However few items it has; its edges are those of the items that it holds."""
    found, cursor = ([2, 3], Cursor((9,), is_backward=is_backward))

    page = page_of(found, 50, cursor, lambda item: (item,), is_cut=True)

    assert page.items == ((3, 2) if is_backward else (2, 3))
    assert page.next == Cursor((page.items[-1],))
    assert page.previous == Cursor((page.items[0],), is_backward=True)
