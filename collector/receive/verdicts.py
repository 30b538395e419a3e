"""How a request ended, in either protocol: judged, counted, and told in the log now and then."""

from __future__ import annotations

from collector.receive.status import Verdict, is_expected, to_verdict
from collector.rows import Signal
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble
from collector.telemetry.metrics import Metrics


class Verdicts:
    """The judge and the books of one protocol, ``grpc`` or ``http``."""

    def __init__(self, protocol: str, clock: Clock, metrics: Metrics) -> None:
        self._protocol = protocol
        self._metrics = metrics
        self._trouble = Trouble("otlpg.receive", clock)

    def judge(self, signal: Signal, error: Exception) -> Verdict:
        """Return what the sender hears about ``error``; one that is our own fault is logged."""
        if not is_expected(error):
            self._trouble.error(
                "request failed by our own fault",
                type(error).__name__,
                signal=signal,
                exc_info=error,
            )
        return to_verdict(error)

    def count(self, signal: Signal, code: str) -> None:
        """Count a request by what its sender heard: OK, CANCELLED."""
        self._metrics.requests.add(1, signal, self._protocol, code)

    def count_verdict(self, signal: Signal, verdict: Verdict, peer: str) -> None:
        """Count a request that was not acknowledged, and tell one of a kind per interval."""
        self.count(signal, verdict.code.name)
        if verdict.retryable:
            self._metrics.refusals.add(1, signal, verdict.cause)
        self._trouble.warn(
            "request refused" if verdict.retryable else "request rejected",
            verdict.cause,
            signal=signal,
            peer=peer,
        )
