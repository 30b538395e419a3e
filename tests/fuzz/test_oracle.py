"""The oracle, the judge and the listener go red: what they would miss is broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from collector.convert.letters import LetterWriter
from collector.convert.request import Converter
from collector.receive import http_service
from collector.rows import Signal, SpanRow
from collector.settings import DatabaseSettings
from tests.fuzz.case import CORPUS, Case, load
from tests.fuzz.http_door import http_door
from tests.fuzz.judge import Judge
from tests.fuzz.oracle import TIGHT, USUAL, Oracle


def case_of(name: str) -> Case:
    """Return a file of the corpus."""
    return load(CORPUS / name)


BREAKS: list[tuple[str, str, Any, str]] = [
    ("traces-name-long.bin", "tags.LENGTH_MAX", 10, "refused, although"),
    ("traces-name-nul.bin", "notes.REPLACEMENT", "?", "should not"),
    ("traces-usual.bin", "conversion.REQUEST_BYTES", -(10**6), "holds"),
    ("traces-span-id-zero.bin", "traces.NO_SPAN_ID", b"", "another fate"),
    ("metrics-summary.bin", "metrics.DISTRIBUTIONS", {}, "gauge"),
]
"""A file, what is broken, and how the failure begins."""


@pytest.mark.parametrize(("name", "patched", "value", "complaint"), BREAKS)
def test_a_broken_convert_is_found(
    name: str, patched: str, value: Any, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One constant or function of convert that is wrong."""
    monkeypatch.setattr(f"collector.convert.{patched}", value)

    with pytest.raises((AssertionError, KeyError), match=complaint):
        Oracle().judge(case_of(name))


def _write_nothing(*_: Any) -> Iterator[None]:
    return iter(())


def test_a_lost_item_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarantined item without a letter is lost."""
    monkeypatch.setattr(LetterWriter, "write", _write_nothing)

    with pytest.raises(AssertionError, match="neither stored nor kept"):
        Oracle().judge(case_of("traces-span-id-zero.bin"))


@pytest.mark.parametrize(
    ("converter", "settings", "complaint"),
    [("_old", USUAL, "depends on what came before"), ("_tight", TIGHT, "caps change the row")],
)
def test_a_converter_that_says_something_else_is_found(
    converter: str, settings: Any, complaint: str
) -> None:
    """Here because it keeps rows longer than the other."""
    oracle = Oracle()
    setattr(oracle, converter, Converter(settings, retention_s=200 * 86_400))

    with pytest.raises(AssertionError, match=complaint):
        oracle.judge(case_of("logs-time-old.bin"))


async def test_the_one_row_that_postgres_refuses_is_found(
    database_settings: DatabaseSettings,
) -> None:
    """Among others in the same COPY."""
    async with http_door() as door:
        judge = Judge(database_settings, door)
        names = ["usual", "name-sql", "name-nul", "status-twice", "value-bytes"]
        cases = [case_of(f"traces-{name}.bin") for name in names]
        judged = [await judge.judge(case) for case in cases]
        converted = judged[2].converted
        assert converted is not None
        converted.rows[0] = SpanRow._make(converted.rows[0])._replace(name="a\0")

        refusals = await judge.copy(Signal.TRACES)

        assert [refusal.case for refusal in refusals] == [cases[2]]
        judge.stop()


async def test_a_row_that_comes_back_changed_is_found(database_settings: DatabaseSettings) -> None:
    """PostgreSQL took it, and says something else."""
    async with http_door() as door:
        judge = Judge(database_settings, door)
        judged = await judge.judge(case_of("traces-usual.bin"))
        assert judged.converted is not None
        row = SpanRow._make(judged.converted.rows[0])
        judged.converted.rows[0] = row._replace(name="another")

        refusals = await judge.copy(Signal.TRACES)

        assert len(refusals) == 1
        judge.stop()


async def test_an_answer_that_no_sender_can_deal_with_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exception that nobody foresaw becomes a 500."""
    monkeypatch.setattr(http_service, "read_content", None)

    async with http_door() as door:
        with pytest.raises(AssertionError, match="answered with"):
            await door.judge(case_of("http-usual.http").data)
