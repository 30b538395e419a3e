"""The settings and the connection of a command that works on the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from collector.cli import options, printing

if TYPE_CHECKING:
    from collector.settings.load import Loaded
    from collector.store.pool import Connection

ResultT = TypeVar("ResultT")


def load_beside_dev(config: Path | None, data_dir: Path | None) -> Loaded:
    """Return the settings; where they name no database, with that of `otlpg dev`, and say so."""
    from collector.operate import dev

    loaded = dev.beside_dev(options.load(config, data_dir=data_dir))
    if loaded.origins.get("database.dsn") == dev.ORIGIN:
        printing.note(f"the database is that of {dev.ORIGIN}")
    return loaded


def on_connection(
    config: Path | None, data_dir: Path | None, action: Callable[[Connection], Awaitable[ResultT]]
) -> ResultT:
    """Run an action on a connection of its own: to the settings' database, or `otlpg dev`'s."""
    from collector.store.pool import connect

    settings = load_beside_dev(config, data_dir).settings

    async def run() -> ResultT:
        connection = await connect(settings.database)
        try:
            return await action(connection)
        finally:
            await connection.close()

    return asyncio.run(run())
