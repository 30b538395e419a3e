"""query.display: stored values in the forms that live items have."""

from __future__ import annotations

import orjson
from hypothesis import given

from collector.convert.values import double_json
from collector.items import TEXT_CHARACTERS_MAX, Item
from collector.query.display import add_text, double, rfc3339
from tests.leaves import pg_us
from tests.strategies import doubles


def test_times_have_nine_digits() -> None:
    """A time that the sender did not give has no nanoseconds."""
    time = pg_us(1_767_268_800_000_001_234)

    assert rfc3339(time, 234) == "2026-01-01T12:00:00.000001234Z"
    assert rfc3339(time, None) == "2026-01-01T12:00:00.000001000Z"


@given(doubles)
def test_doubles_have_the_form_of_attributes(number: float) -> None:
    """Whether a number comes from a jsonb or from a column of its own."""
    assert orjson.dumps(double(number)) == orjson.dumps(orjson.loads(double_json(number)))


def test_a_long_text_is_cut_and_that_is_said() -> None:
    """The longest text is whole."""
    item: Item = {"signal": "logs", "time": ""}

    add_text(item, "event", "a" * TEXT_CHARACTERS_MAX)
    assert item == {"signal": "logs", "time": "", "event": "a" * TEXT_CHARACTERS_MAX}

    add_text(item, "body", "é" * (TEXT_CHARACTERS_MAX + 1))
    assert item.get("body") == "é" * TEXT_CHARACTERS_MAX
    assert item.get("cut") is True
