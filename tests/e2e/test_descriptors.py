"""A daemon that has no descriptors left says so once, and goes on when there are some again."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import psutil

from tests.e2e.daemon import Daemon

WARNING = "socket.accept() out of system resource"


def lower_the_limit(pid: int, spare: int) -> None:
    """Leave a process only so many descriptors beyond those that it has open."""
    process = psutil.Process(pid)
    limit = process.num_fds() + spare
    process.rlimit(psutil.RLIMIT_NOFILE, (limit, limit))


async def test_idle_connections_that_take_every_descriptor_cost_one_line(daemon: Daemon) -> None:
    """And no restart: once they are gone, health and metrics answer as before."""

    def take_them_all() -> None:
        lower_the_limit(daemon.pid, spare=5)
        with contextlib.ExitStack() as open_ones:
            for _ in range(20):
                address = ("127.0.0.1", daemon.telemetry_port)
                open_ones.enter_context(socket.create_connection(address, timeout=5))
            daemon.wait_for_log(WARNING)
        daemon.wait_until_ready()

    await asyncio.to_thread(take_them_all)

    assert len([line for line in daemon.log() if WARNING in str(line)]) == 1
    assert [line["text"] for line in daemon.log() if "text" in line] == []
