"""Answers of the API that Redis keeps for a while.

It stands here since this layer alone speaks to Redis, and with one way to fail: ``LinkError``.
"""

from __future__ import annotations

import asyncio

from collector.settings import RedisSettings
from collector.tail.redis_client import as_link_errors, client_of


class RedisAnswers:
    """Keys are the caller's, below the prefix of the daemon's channels; no sender's text is in them."""

    def __init__(self, settings: RedisSettings) -> None:
        self._prefix = settings.channel_prefix
        self._client = client_of(settings)
        self._connections = asyncio.Semaphore(settings.pool_size)  # more would fail, and not wait

    async def get(self, key: str) -> bytes | None:
        """Return an answer; None: it is not there, or not any more.

        Raises:
            LinkError: Redis did not answer within ``redis.timeout_s``.
        """
        async with self._connections:
            with as_link_errors():
                found: bytes | None = await self._client.get(self._name(key))
                return found

    async def put(self, key: str, answer: bytes, lifetime_s: float) -> None:
        """Keep an answer for so long.

        Raises:
            LinkError: as ``get``; it may be kept all the same.
        """
        milliseconds = max(1, round(lifetime_s * 1_000))
        async with self._connections:
            with as_link_errors():
                await self._client.set(self._name(key), answer, px=milliseconds)

    async def stop(self) -> None:
        """Close what is open. Safe twice."""
        with as_link_errors():
            await self._client.aclose()

    def _name(self, key: str) -> str:
        return f"{self._prefix}:answer:{key}"
