"""What a PostgreSQL server is doing just now, for tests that wait until it does.

``pg_stat_activity`` tells nobody that it has changed, so it is asked over and over.
"""

from __future__ import annotations

import asyncio

from collector.store.pool import Connection

WAIT_S_MAX = 60.0
LOOK_S = 0.01


async def until_counted(connection: Connection, sql: str, count: int) -> None:
    """Return once ``sql``, which counts what runs or waits, says ``count``.

    Raises:
        TimeoutError: it does not come to that.
    """
    async with asyncio.timeout(WAIT_S_MAX):
        while await connection.fetchval(sql) != count:  # noqa: ASYNC110 -- the server's own pace
            await asyncio.sleep(LOOK_S)
