"""What a run has seen so far: counted for ``/metrics``, and summed up for each report."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from collector.operate.verify.delivery import Delivery
from collector.operate.verify.judge import ALARMS, End, Finding
from collector.operate.verify.options import Protocol
from collector.rows import Signal
from collector.telemetry.clock import Clock
from collector.telemetry.metrics import VerifyMetrics

DELAYS_MAX: Final = 20_000
"""Delays that a report's percentiles rest on, the latest: two hours at one round a second."""


class Result(NamedTuple):
    """How one request of a round ended."""

    signal: Signal
    delivery: Delivery
    findings: list[Finding]
    visible_s: float | None
    """From the first attempt to the rows read back; None when they were not, or not all."""
    is_open: bool = False
    """Acknowledged and not read yet: its items are counted later, by ``Tally.end_items``."""

    @property
    def is_good(self) -> bool:
        """Whether it was acknowledged and found as it was sent."""
        return all(finding.end in {End.STORED, End.QUARANTINED} for finding in self.findings)

    @property
    def is_bad(self) -> bool:
        """Whether a promise was broken."""
        return any(finding.end in ALARMS for finding in self.findings)


class Report(NamedTuple):
    """An interval, or with ``is_summary`` the whole run. Percentiles are None without a delay."""

    is_summary: bool
    at_unix_nano: int
    seconds: float
    rounds: dict[str, int]
    ends: dict[End, int]
    ack_s: tuple[float, float] | None
    visible_s: tuple[float, float] | None

    @property
    def has_alarm(self) -> bool:
        """Whether a promise was broken."""
        return any(self.ends[end] for end in ALARMS)


class _Span:
    """Sums since a moment."""

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.rounds: Counter[str] = Counter()
        self.ends: Counter[End] = Counter()
        self.ack_s: deque[float] = deque(maxlen=DELAYS_MAX)
        self.visible_s: deque[float] = deque(maxlen=DELAYS_MAX)


class Tally:
    """Counts results once for the interval, once for the run and once for ``/metrics``."""

    def __init__(self, metrics: VerifyMetrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._whole = _Span(clock.monotonic_s())
        self._interval = _Span(clock.monotonic_s())
        self.was_acknowledged = False
        """Whether the last request that ended was; and so for ``was_read``."""
        self.was_read = False
        for result in ("good", "refused", "bad", "skipped"):
            metrics.rounds.add(0, result)
        for signal in Signal:
            for end in End:  # an alert on increase() needs the 0 before the first 1
                metrics.items.add(0, signal, end)
        metrics.last_good.set(0)

    @property
    def ever_acknowledged(self) -> bool:
        """Whether the daemon ever said OK."""
        return bool(self._whole.ack_s)

    @property
    def ever_read(self) -> bool:
        """Whether rows were ever looked for with success."""
        return any(self._whole.ends[end] for end in _SEEN)

    def skip_round(self) -> None:
        """Count a round that was not begun."""
        self._count_round("skipped")

    def end_round(self, results: Sequence[Result], protocol: Protocol) -> None:
        """Count a round and the items of its requests."""
        for result in results:
            self._end_request(result, protocol)
        if any(result.is_bad for result in results):
            self._count_round("bad")
        elif all(result.is_good for result in results):
            self._count_round("good")
            self._metrics.last_good.set(self._clock.unix_ns() / 1e9)
        else:
            self._count_round("refused")

    def end_items(self, result: Result) -> None:
        """Count the items of a request alone; of one that was open, its round is counted already."""
        for finding in result.findings:
            self._metrics.items.add(1, result.signal, finding.end)
        for span in (self._whole, self._interval):
            span.ends.update(finding.end for finding in result.findings)

    def report(self, *, summary: bool = False) -> Report:
        """Return the interval so far, and begin the next one; or return the whole run."""
        span = self._whole if summary else self._interval
        now_s = self._clock.monotonic_s()
        if not summary:
            self._interval = _Span(now_s)
        return Report(
            is_summary=summary,
            at_unix_nano=self._clock.unix_ns(),
            seconds=now_s - span.began_s,
            rounds={name: span.rounds[name] for name in ("good", "refused", "bad", "skipped")},
            ends={end: span.ends[end] for end in End},
            ack_s=_percentiles(span.ack_s),
            visible_s=_percentiles(span.visible_s),
        )

    def _count_round(self, result: str) -> None:
        self._metrics.rounds.add(1, result)
        for span in (self._whole, self._interval):
            span.rounds[result] += 1

    def _end_request(self, result: Result, protocol: Protocol) -> None:
        self.was_acknowledged = result.delivery.told == "acknowledged"
        ends = {finding.end for finding in result.findings}
        if self.was_acknowledged:
            self.was_read = End.UNREAD not in ends
            labels = (result.signal, protocol)
            self._metrics.ack_seconds.observe(result.delivery.took_s, *labels)
            if result.visible_s is not None:
                self._metrics.visible_seconds.observe(result.visible_s, *labels)
        if not result.is_open:
            self.end_items(result)
        for span in (self._whole, self._interval):
            if self.was_acknowledged:
                span.ack_s.append(result.delivery.took_s)
            if result.visible_s is not None:
                span.visible_s.append(result.visible_s)


_SEEN: Final = frozenset(
    {End.STORED, End.QUARANTINED, End.UNHEARD, End.LOST, End.DUPLICATED, End.ALTERED}
)
"""Ends that only somebody who looked can tell."""


def _percentiles(delays_s: Iterable[float]) -> tuple[float, float] | None:
    """Return the 50th and the 99th percentile, of the nearest rank."""
    ordered = sorted(delays_s)
    if not ordered:
        return None
    last = len(ordered) - 1
    return ordered[round(last * 0.5)], ordered[round(last * 0.99)]
