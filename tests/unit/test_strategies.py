"""The strategies reach what they promise to reach."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings

from collector.restore.equality import item_texts
from collector.rows import Signal
from tests.examples import same_examples
from tests.factories import ExportRequest
from tests.strategies import (
    PROFILES_ONLY,
    REQUEST_TYPES,
    HostileRequest,
    fields_below,
    fields_set,
    hostile_requests,
    requests,
)

sampling = settings(same_examples(200), phases=[Phase.generate])


@pytest.mark.parametrize("signal", Signal)
def test_every_field_of_the_protocol_is_filled(signal: Signal) -> None:
    """A walk over the descriptors finds no field that no generated request has set.

    Only the fields of the profiles signal stay empty: common.proto tells receivers of the other
    signals to treat them as absent. A field that a new opentelemetry-proto brings is filled too,
    unless its scalar type is new; then this fails and asks for a strategy. Most requests have
    items, and many of these repeat a key, or they would not be worth converting.
    """
    filled: set[str] = set()
    items: list[str] = []

    @sampling
    @given(requests(signal))
    def sample(request: ExportRequest) -> None:
        filled.update(fields_set(request))
        items.extend(item_texts(request))

    sample()

    assert fields_below(REQUEST_TYPES[signal].DESCRIPTOR) - filled == PROFILES_ONLY
    assert len(items) > 100
    assert sum("repeated keys" in item for item in items) > 30


@pytest.mark.parametrize("signal", Signal)
def test_hostile_wire_is_not_valid_or_holds_nul(signal: Signal) -> None:
    """No hostile request could be stored as it is; what is expected of it could."""

    @settings(sampling, max_examples=60)
    @given(hostile_requests(signal))
    def sample(hostile: HostileRequest) -> None:
        assert hostile.wire != hostile.repaired.SerializeToString()
        texts = "".join(item_texts(hostile.repaired))
        assert "\\u0000" not in texts.replace("\\\\", "")

    sample()
