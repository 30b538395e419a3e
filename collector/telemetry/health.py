"""The small HTTP server beside the listeners: ``/metrics``, ``/health/live``, ``/health/ready``."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from collector.telemetry.metrics import Declared, Snapshot
from collector.telemetry.render import CONTENT_TYPE, render
from collector.telemetry.serving import Accept, EmbeddedServer

Readiness = Callable[[], dict[str, bool]]
"""Named conditions; ready means that all of them hold."""

Refuse = Callable[[Request], Awaitable[Response | None]]
"""Answers a request that may not read ``/metrics``; None: it may."""


async def refuse_nobody(_request: Request) -> Response | None:
    """Let everybody read."""
    return None


def build_app(
    scrape: Callable[[], Awaitable[Snapshot]],
    readiness: Readiness,
    declared: Declared | None = None,
    *,
    refuse: Refuse = refuse_nobody,
) -> Starlette:
    """Return the application; ``declared`` says which metrics, the daemon's by default.

    Health is open to all: a kubelet has no key, and what it hears are the words below.

    ``live`` answers as long as the process runs its loop: PostgreSQL being away is no reason to be
    killed, since a restart would not bring it back. ``ready`` names what is missing.
    """

    async def metrics(request: Request) -> Response:
        refusal = await refuse(request)
        if refusal is not None:
            return refusal
        return Response(render(await scrape(), declared), headers={"content-type": CONTENT_TYPE})

    async def live(_request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_request: Request) -> Response:
        conditions = readiness()
        ok = all(conditions.values())
        return JSONResponse({"ready": ok, **conditions}, status_code=200 if ok else 503)

    app = Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/health/live", live),
            Route("/health/ready", ready),
        ]
    )
    app.router.redirect_slashes = False
    return app


CONNECTIONS_MAX = 512
"""Scrapers and probes need a handful; beyond, all are answered 503, the probes' connections too."""
BACKLOG = 64
"""Connections that wait to be accepted. Without descriptors asyncio (Python 3.11) tries as many
times a second: uvicorn's own 2 048 took a quarter of a core."""


class TelemetryServer(EmbeddedServer):
    """Serves the application; leaves signals to its owner, who drains first."""

    def __init__(self, app: Starlette, accept: Accept | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=1,
                limit_concurrency=CONNECTIONS_MAX,
                backlog=BACKLOG,
            ),
            accept,
        )

    async def run_on(self, listeners: list[socket.socket]) -> None:
        """Serve on sockets that are bound already, until ``stop``.

        Connections inherit SO_REUSEADDR. Without it one that was closed from here, by a stop or
        after a scrape, kept the next daemon from the port for a minute.
        """
        for listener in listeners:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await self.serve(sockets=listeners)

    def stop(self) -> None:
        """Stop soon. Safe twice and before start."""
        self.should_exit = True
