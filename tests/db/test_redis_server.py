"""The Redis of the tests: it is a real one, it can be hurt, and nothing of it stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.redis_server import find_program, redis_server

STARTER = """
from tests.redis_server import redis_server
with redis_server() as server:
    print(server.process.pid, server.path.parent, flush=True)
    input()
"""


def test_it_comes_back_at_the_same_address() -> None:
    """Killed while frozen, and started again."""
    with redis_server(maxmemory="3mb") as server:
        url = server.url
        server.freeze()
        server.kill()
        away = server.answers()
        server.start()

        assert not away
        assert server.answers()
        assert server.url == url
        with server.client() as client:
            assert client.config_get("maxmemory") == {"maxmemory": str(3 * 2**20)}


def test_it_dies_with_who_started_it() -> None:
    """Also by SIGKILL, which lets nobody clean up."""
    with subprocess.Popen(
        [sys.executable, "-c", STARTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as starter:
        assert starter.stdout is not None
        pid, folder = starter.stdout.readline().split()
        server = psutil.Process(int(pid))
        os.kill(starter.pid, signal.SIGKILL)

        _, alive = psutil.wait_procs([server], timeout=10)

        shutil.rmtree(folder)
        assert not alive


def test_where_there_is_none_the_test_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is not skipped."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tests.redis_server.WHEEL", "no_such_package")

    with pytest.raises(AssertionError, match="redis-server on PATH"):
        find_program()
