"""How Redis is reached: each answer has ``redis.timeout_s``, and redis-py repeats nothing by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from collector.errors import LinkError
from collector.settings import RedisSettings

Client: TypeAlias = Any
"""redis-py's own; its annotations leave most types open."""


@contextlib.contextmanager
def as_link_errors() -> Generator[None]:
    """Make ours of what redis-py raises; and raise what it swallows, a cancellation while it connects.

    Of cancellations the number is compared: a TaskGroup of Python 3.11 may leave an old one behind.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    except (RedisError, OSError, TimeoutError, EOFError) as error:
        raise LinkError(_words(error)) from error
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


def _words(error: Exception) -> str:
    """Return what an operator reads; redis-py hides a refused password behind a lost connection."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AuthenticationError):
            return "Redis refuses the user or password of redis.url"
        if isinstance(seen, NoPermissionError):
            return "Redis does not let the user of redis.url do what is asked of it here"
        seen = seen.__cause__ or seen.__context__
    return f"Redis does not answer: {type(error).__name__}"


def client_of(settings: RedisSettings) -> Client:
    """Return a client of ``redis.url``, which connects when it is first used."""
    assert settings.url is not None
    redis: Any = Redis
    return redis.from_url(
        settings.url.get_secret_value(),
        protocol=2,  # every version of the server speaks it
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=settings.timeout_s,
        retry=Retry(NoBackoff(), 0),
        max_connections=settings.pool_size,
        client_name="otlpg",
    )
