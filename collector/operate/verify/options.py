"""What one run of ``otlpg verify`` may be told, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Protocol(StrEnum):
    """How a request travels, in the words of ``OTEL_EXPORTER_OTLP_PROTOCOL``."""

    GRPC = "grpc"
    HTTP_PROTOBUF = "http/protobuf"
    HTTP_JSON = "http/json"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Units: ``_s`` are seconds. ``0`` switches off what is done every so many rounds."""

    grpc_endpoint: str
    http_endpoint: str
    instance: str
    """``service.instance.id`` of all that is sent; another value is another set of series."""
    protocols: tuple[Protocol, ...] = (Protocol.GRPC,)
    """Taken in turn, one for each round."""
    every_s: float = 1.0
    rounds: int | None = None
    run_s: float | None = None
    timeout_s: float = 10.0
    """For one attempt, as SDKs have it."""
    deadline_s: float = 30.0
    """For one request with all its attempts; then it is refused."""
    visible_within_s: float = 0.0
    """How long a row may take to appear where it is read; for a replica."""
    repeat_every: int = 10
    bad_item_every: int = 0
    report_every_s: float = 10.0
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None

    def protocol_of(self, number: int) -> Protocol:
        """Return the protocol of the round with this number."""
        return self.protocols[number % len(self.protocols)]

    def repeats(self, number: int) -> bool:
        """Tell whether this round sends its requests once more after OK."""
        return _is_due(number, self.repeat_every)

    def has_bad_item(self, number: int) -> bool:
        """Tell whether this round carries an item that belongs into quarantine."""
        return _is_due(number, self.bad_item_every)


def _is_due(number: int, every: int) -> bool:
    """Tell whether a round is one of every ``every``; rounds count from 1."""
    return every > 0 and number % every == 0
