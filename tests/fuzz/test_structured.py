"""Requests with every field of the protocol, as protobuf and as JSON, clean and hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from collector.restore.otlp_json import to_json
from collector.rows import Signal
from tests.examples import new_examples, same_examples
from tests.factories import ExportRequest
from tests.fuzz.case import Case, Door, Encoding
from tests.fuzz.oracle import Oracle
from tests.strategies import HostileRequest, hostile_requests, requests

examples = same_examples(40)
many_examples = new_examples()
LENGTHS = [
    examples,
    pytest.param(many_examples, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
]


@pytest.mark.parametrize("settings", LENGTHS, ids=["some", "thousands"])
@pytest.mark.parametrize("signal", Signal)
def test_any_request_ends_as_it_must(signal: Signal, settings: hypothesis_settings) -> None:
    """In both encodings, and the same in both."""
    oracle = Oracle()

    @settings
    @given(requests(signal))
    def check(request: ExportRequest) -> None:
        wire = Case(Door(Encoding.PROTOBUF, signal), request.SerializeToString())
        text = Case(Door(Encoding.JSON, signal), to_json(request))

        assert oracle.judge(wire).verdict == oracle.judge(text).verdict

    check()


@pytest.mark.parametrize("settings", LENGTHS, ids=["some", "thousands"])
@pytest.mark.parametrize("signal", Signal)
def test_any_hostile_request_ends_as_it_must(signal: Signal, settings: hypothesis_settings) -> None:
    """Repaired, or left to another signal's door, and never refused."""
    oracle = Oracle()

    @settings
    @given(hostile_requests(signal))
    def check(hostile: HostileRequest) -> None:
        judged = oracle.judge(Case(Door(Encoding.PROTOBUF, signal), hostile.wire))

        assert judged.converted is not None
        assert judged.verdict != "undecodable"

    check()
