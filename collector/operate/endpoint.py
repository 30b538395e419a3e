"""Where a daemon takes OTLP, as an operator writes it, and what its gRPC methods are called."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from collector.errors import SettingsError
from collector.rows import Signal

EXPORT_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

_REFUSED = "{!r} is no endpoint; write http://host:port"


class Endpoint(NamedTuple):
    """Host and port, as gRPC wants them, and whether TLS is meant."""

    authority: str
    secure: bool


def parse(text: str) -> Endpoint:
    """Return what a URL as in ``OTEL_EXPORTER_OTLP_ENDPOINT`` means; no scheme means no TLS.

    Without TLS a port must stand there: gRPC would take 443, which is never meant.

    Raises:
        SettingsError: it is no such URL.
    """
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        port = url.port
    except ValueError:  # a port that is no number, or half an IPv6 address
        raise SettingsError(_REFUSED.format(text)) from None
    named = bool(url.hostname) and (port is not None or url.scheme == "https")
    if not named or url.scheme not in {"http", "https"}:
        raise SettingsError(_REFUSED.format(text))
    return Endpoint(url.netloc, url.scheme == "https")
