"""An application with the Python SDK: a numbered span a tick until stdin ends, then its shutdown.

Takes the SDK's own ``OTEL_*`` variables, and ``PROTOCOL`` (http or grpc), ``SPANS_PER_S``. Prints how
many spans it made.
"""

from __future__ import annotations

import os
import sys
import threading

from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as over_grpc
from opentelemetry.exporter.otlp.proto.http import trace_exporter as over_http
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

EXPORTERS = {"grpc": over_grpc.OTLPSpanExporter, "http": over_http.OTLPSpanExporter}


def main() -> None:
    """Send until stdin ends."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(EXPORTERS[os.environ["PROTOCOL"]]()))
    tracer = provider.get_tracer("outage")
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    tick_s = 1.0 / float(os.environ["SPANS_PER_S"])
    sent = 0
    while not ended.wait(tick_s):
        tracer.start_span(str(sent)).end()
        sent += 1
    provider.shutdown()
    sys.stdout.write(f"{sent}\n")


if __name__ == "__main__":
    main()
