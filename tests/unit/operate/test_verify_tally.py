"""What `otlpg verify` counts and how it says so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from collector.cli.verify_text import as_map, as_text
from collector.operate.verify.delivery import Delivery
from collector.operate.verify.judge import ALARMS, End, Finding, Told
from collector.operate.verify.options import Protocol
from collector.operate.verify.tally import Result, Tally
from collector.rows import Signal
from collector.telemetry.metrics import VerifyMetrics
from tests.clocks import HandClock


def result(told: Told, *ends: End, ack_s: float = 0.01, visible_s: float | None = None) -> Result:
    """Return a request that ended so."""
    findings = [Finding(str(number), end) for number, end in enumerate(ends)]
    return Result(Signal.LOGS, Delivery(told, 1, ack_s, "", ""), findings, visible_s)


@pytest.fixture
def clock() -> HandClock:
    """A clock that stands still."""
    return HandClock()


@pytest.fixture
def tally(clock: HandClock) -> Tally:
    """A tally that has seen nothing."""
    return Tally(VerifyMetrics(), clock)


@pytest.mark.parametrize(
    ("results", "kind"),
    [
        ([result("acknowledged", End.STORED, End.QUARANTINED)], "good"),
        ([result("acknowledged", End.STORED), result("refused", End.REFUSED)], "refused"),
        ([result("acknowledged", End.UNREAD)], "refused"),
        ([result("refused", End.UNHEARD)], "refused"),
        *(([result("refused", End.REFUSED), result("acknowledged", end)], "bad") for end in ALARMS),
    ],
)
def test_a_round_is_as_good_as_its_worst_item(
    tally: Tally, results: list[Result], kind: str
) -> None:
    """And only a broken promise is an alarm."""
    tally.end_round(results, Protocol.GRPC)

    report = tally.report(summary=True)
    assert report.rounds == {"good": 0, "refused": 0, "bad": 0, "skipped": 0, kind: 1}
    assert report.has_alarm == (kind == "bad")


def test_an_interval_ends_with_its_report_and_the_summary_has_all(
    tally: Tally, clock: HandClock
) -> None:
    """Items, rounds, delays and seconds alike."""
    for moved_s in (10, 5):
        tally.end_round([result("acknowledged", End.STORED, visible_s=0.1)], Protocol.GRPC)
        clock.move(timedelta(seconds=moved_s))
        interval = tally.report()
        assert (interval.seconds, interval.ends[End.STORED]) == (moved_s, 1)
    tally.skip_round()
    empty, whole = tally.report(), tally.report(summary=True)

    assert (empty.seconds, empty.ack_s, empty.visible_s) == (0, None, None)
    assert (whole.seconds, whole.ends[End.STORED]) == (15, 2)
    assert whole.rounds == {"good": 2, "refused": 0, "bad": 0, "skipped": 1}


def test_who_never_heard_ok_or_never_looked_is_told_apart(tally: Tally) -> None:
    """It decides the exit code of a run without any alarm."""
    tally.end_round([result("refused", End.REFUSED)], Protocol.GRPC)
    assert not tally.ever_acknowledged
    assert not tally.ever_read

    tally.end_round([result("acknowledged", End.UNREAD)], Protocol.GRPC)
    assert tally.ever_acknowledged
    assert (tally.was_acknowledged, tally.was_read, tally.ever_read) == (True, False, False)

    tally.end_round([result("acknowledged", End.LOST)], Protocol.GRPC)
    assert tally.ever_read


def test_a_report_is_one_line_and_rare_ends_appear_once_they_happened(tally: Tally) -> None:
    """Those to worry about are always there, so that their 0 is seen."""
    for ack_s in (0.001, 0.002, 0.5):
        tally.end_round(
            [result("acknowledged", End.STORED, ack_s=ack_s, visible_s=1.5)], Protocol.GRPC
        )
    before = as_text(tally.report())
    tally.end_round([result("rejected", End.REJECTED)], Protocol.GRPC)
    tally.skip_round()
    whole = tally.report(summary=True)

    assert before == (
        "12:00:00  3 rounds; 3 stored, 0 refused, 0 lost, 0 duplicated, 0 altered; "
        "OK after 2.0 ms (p99 500.0), visible after 1500.0 ms (p99 1500.0)"
    )
    assert as_text(whole).startswith("in 0 s all in all  4 rounds (1 skipped); 3 stored,")
    assert "1 rejected" in as_text(whole)
    assert as_text(tally.report()).endswith("OK after -, visible after -")
    assert as_map(whole)["ack_s"] == {"p50": 0.002, "p99": 0.5}
