"""A worker and the end of its pipe: a real process, no supervisor, no database."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from collector.settings import DatabaseSettings, ReceiveSettings, Settings
from collector.settings.worker import to_worker_json


@pytest.mark.parametrize("last_words", [b"", b"rep", b"drai"], ids=["none", "half", "another half"])
async def test_a_worker_ends_with_its_supervisor(last_words: bytes) -> None:
    """Whatever the supervisor had written when it was killed, half an order included."""
    settings = Settings(
        receive=ReceiveSettings(grpc_port=0, http_port=0),
        database=DatabaseSettings(host="127.0.0.1", port=1, user="u"),
    )
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector.worker", "0"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(to_worker_json(settings).encode() + b"\n")
        async with asyncio.timeout(30):
            while "listening" not in json.loads(await worker.stdout.readline()):
                pass
        worker.stdin.write(last_words)
        worker.stdin.close()
        async with asyncio.timeout(15):
            _, said = await worker.communicate()
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.communicate()

    assert worker.returncode == 0
    assert b"Traceback" not in said
