"""The three addresses beside the listeners, over a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from collector.receive.listeners import ReservedPort
from collector.telemetry.health import TelemetryServer, build_app
from collector.telemetry.metrics import Metrics, Snapshot
from collector.telemetry.render import CONTENT_TYPE


class Site:
    """A running telemetry server whose readiness a test can change."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.conditions = {"listening": True, "store": True}

    async def get(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        status, *fields = head.decode().split("\r\n")
        headers = dict(field.lower().split(": ", 1) for field in fields)
        return int(status.split()[1]), headers, body


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Serve on a port of loopback."""
    metrics = Metrics()
    metrics.items.add(2, "logs", "stored")

    async def scrape() -> Snapshot:
        return metrics.snapshot()

    listener = socket.create_server(("127.0.0.1", 0))
    running = Site(listener.getsockname()[1])
    server = TelemetryServer(build_app(scrape, lambda: running.conditions))
    serving = asyncio.create_task(server.run_on([listener]))
    yield running
    server.stop()
    await serving


async def test_metrics_are_prometheus_text(site: Site) -> None:
    """The content type names the format's version, which Prometheus 3 insists on."""
    status, headers, body = await site.get("/metrics")

    assert status == 200
    assert headers["content-type"] == CONTENT_TYPE
    assert b'otlpg_items_total{end="stored",signal="logs"} 2.0' in body


async def test_live_does_not_ask_for_the_store(site: Site) -> None:
    """A restart would not bring PostgreSQL back."""
    site.conditions["store"] = False

    status, _, _ = await site.get("/health/live")

    assert status == 200


async def test_ready_names_what_is_missing(site: Site) -> None:
    """503 until every condition holds."""
    site.conditions["store"] = False
    missing = await site.get("/health/ready")
    site.conditions["store"] = True
    whole = await site.get("/health/ready")

    assert missing[0] == 503
    assert json.loads(missing[2]) == {"ready": False, "listening": True, "store": False}
    assert whole[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/metrics/", 404), ("POST", "/metrics", 405)],
)
async def test_nothing_else_is_served(site: Site, method: str, path: str, status: int) -> None:
    """No redirect, no documentation page, no other method."""
    assert (await site.get(path, method))[0] == status


async def serve_once(port: int) -> int:
    """Serve on ``port``, answer one request, stop; return the port that it was."""
    held = ReservedPort("127.0.0.1", port, setting="telemetry.port", shared=False)
    site = Site(held.port)
    server = TelemetryServer(build_app(asyncio.Future[Snapshot], lambda: site.conditions))
    serving = asyncio.create_task(server.run_on(held.sockets))
    while not server.started:  # noqa: ASYNC110 -- uvicorn has nothing to await
        await asyncio.sleep(0)
    status, *_ = await site.get("/health/live")
    server.stop()
    await serving
    held.release()
    assert status == 200
    return held.port


async def test_a_scrape_does_not_keep_the_next_daemon_from_the_port() -> None:
    """The server closes the connection, which the kernel then keeps for a minute."""
    port = await serve_once(0)

    assert await serve_once(port) == port
