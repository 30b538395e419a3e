"""operate.send_test: the raw summary over a fake channel, and the sample's content."""

from __future__ import annotations

import socket
import sys
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import grpc_testing
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

from collector.errors import CommandError, UnreachableError
from collector.operate import sample as sample_module
from collector.operate.sample import make_sample
from collector.operate.send_test import send, send_summary, summary_request

NOW_NS = 1_800_000_000_000_000_000
SERVICE = metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"]
EXPORT = SERVICE.methods_by_name["Export"]


class SummarySender:
    """Runs ``send_summary`` in a thread, on a channel whose far end is the test."""

    def __init__(self) -> None:
        testing: Any = grpc_testing  # it has no types
        self.channel: Any = testing.channel([SERVICE], testing.strict_real_time())
        self._pool = ThreadPoolExecutor(1)

    def start(self) -> Future[None]:
        """Begin to send and return at once."""
        return self._pool.submit(send_summary, self.channel, "run-1", NOW_NS, 5.0)

    def answer(self, response: Any, code: grpc.StatusCode, details: str = "") -> Any:
        """Take the request, answer it, and return it."""
        _, request, rpc = self.channel.take_unary_unary(EXPORT)
        rpc.terminate(response, (), code, details)
        return request

    def stop(self) -> None:
        """Wait for the thread."""
        self._pool.shutdown()


@pytest.fixture
def sender() -> Generator[SummarySender]:
    """A sender whose thread ends with the test."""
    made = SummarySender()
    yield made
    made.stop()


def response(rejected: int = 0, message: str = "") -> Any:
    """Return the server's reply."""
    return metrics_service_pb2.ExportMetricsServiceResponse(
        partial_success=metrics_service_pb2.ExportMetricsPartialSuccess(
            rejected_data_points=rejected, error_message=message
        )
    )


def test_acknowledged_summary_returns(sender: SummarySender) -> None:
    """The request that arrives is the one of this run."""
    done = sender.start()

    request = sender.answer(response(), grpc.StatusCode.OK)

    done.result(timeout=10)
    assert request == summary_request("run-1", NOW_NS)


def test_refused_summary_is_an_error_with_code_and_details(sender: SummarySender) -> None:
    """What the server said reaches the operator."""
    done = sender.start()

    sender.answer(None, grpc.StatusCode.UNAVAILABLE, "the server is draining")

    with pytest.raises(CommandError, match="UNAVAILABLE, the server is draining"):
        done.result(timeout=10)


def test_rejected_point_is_an_error(sender: SummarySender) -> None:
    """OK with a rejected item is not taken for stored."""
    done = sender.start()

    sender.answer(response(rejected=1, message="no identity"), grpc.StatusCode.OK)

    with pytest.raises(CommandError, match="no identity"):
        done.result(timeout=10)


def test_warning_without_rejected_points_is_fine(sender: SummarySender) -> None:
    """A quarantined item may come with a message and 0 rejected."""
    done = sender.start()

    sender.answer(response(message="1 item is quarantined"), grpc.StatusCode.OK)

    assert done.result(timeout=10) is None


def test_nobody_listening_is_told_at_once() -> None:
    """The exporters' own retries are not waited for."""
    with pytest.raises(UnreachableError, match="otlpg dev"):
        send("http://127.0.0.1:1", timeout_s=3600)


def test_a_listener_that_says_nothing_is_given_up() -> None:
    """A port that takes connections and never speaks is no daemon."""
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(UnreachableError, match="nobody takes OTLP"),
    ):
        send(f"127.0.0.1:{mute.getsockname()[1]}", timeout_s=0.2)


class WithoutSdk:
    """Imports as they end where only ``opentelemetry-proto`` is installed.

    It has the folder ``opentelemetry`` too, so Python finds the package and misses a name in it:
    an ImportError that is no ModuleNotFoundError.
    """

    def find_spec(self, name: str, *_: object) -> None:
        """Refuse the file that needs the SDK."""
        if name == sample_module.__name__:
            raise ImportError("cannot import name 'trace' from 'opentelemetry'", name=name)


def test_a_missing_sdk_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that only serves has no SDK; the line says which extra brings it."""
    monkeypatch.delitem(sys.modules, sample_module.__name__)
    monkeypatch.delattr("collector.operate.sample")
    monkeypatch.setattr(sys, "meta_path", [WithoutSdk(), *sys.meta_path])

    with pytest.raises(CommandError, match=r"pip install 'otlpg\[send-test\]'") as caught:
        send("http://127.0.0.1:1", timeout_s=1)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["ftp://h:1", "http://", ""])
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    """The error shows what was given and what to write."""
    with pytest.raises(CommandError, match="http://host:port"):
        send(endpoint, timeout_s=1)


def test_sample_has_every_form_of_each_signal() -> None:
    """Remote parents, links, an exception, statuses; all metric types; all kinds of body."""
    sample = make_sample("run-1", NOW_NS)

    assert {span.kind.name for span in sample.spans} == {"SERVER", "CLIENT", "PRODUCER", "CONSUMER"}
    assert {span.status.status_code.name for span in sample.spans} == {"UNSET", "OK", "ERROR"}
    assert any(span.links for span in sample.spans)
    assert any(span.parent is not None and span.parent.is_remote for span in sample.spans)
    assert [e.name for s in sample.spans for e in s.events if e.name == "exception"] == [
        "exception"
    ]
    assert len({str(span.resource.attributes["service.name"]) for span in sample.spans}) == 4
    types = {
        type(metric.data).__name__
        for data in sample.metrics
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert types == {"Sum", "Gauge", "Histogram", "ExponentialHistogram"}
    assert {type(record.log_record.body) for record in sample.logs} >= {str, dict}


def test_sample_carries_the_run_in_every_resource() -> None:
    """Reading back finds exactly this run."""
    sample = make_sample("run-1", NOW_NS)

    resources = [span.resource for span in sample.spans]
    resources += [record.resource for record in sample.logs]
    resources += [r.resource for data in sample.metrics for r in data.resource_metrics]

    assert {str(resource.attributes["service.instance.id"]) for resource in resources} == {"run-1"}


def test_trace_ended_just_now() -> None:
    """A live view shows it at once; nothing lies in the future."""
    sample = make_sample("run-1", NOW_NS)

    assert max(span.end_time or 0 for span in sample.spans) == NOW_NS
    assert all((span.start_time or 0) < (span.end_time or 0) for span in sample.spans)
