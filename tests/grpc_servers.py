"""Ends grpc.aio servers of tests, down to the last task of theirs."""

from __future__ import annotations

import asyncio

import grpc.aio


async def end(server: grpc.aio.Server, before: set[asyncio.Task[object]]) -> None:
    """Stop ``server``; return once the tasks of its calls are gone too.

    ``stop`` alone may return before them: a call's answer is out, and its task has a turn to go.
    ``before`` are the tasks that ran when the server was made.
    """
    await server.stop(None)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        await asyncio.wait(left)
