"""The clock of the database server, as one test's database shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collector.store.pool import connect

if TYPE_CHECKING:
    from datetime import datetime

    from collector.settings import DatabaseSettings


async def set_server_clock(settings: DatabaseSettings, now: datetime) -> None:
    """Let ``now()`` be ``now``, and stand still, for all connections opened after the first call.

    A function of that name is found before the server's own, which cannot be set. What was made of
    the real one before, as the default of a column, keeps it.
    """
    connection = await connect(settings)
    try:
        database = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(
            "CREATE OR REPLACE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE"
            f" AS $$ SELECT TIMESTAMPTZ '{now.isoformat()}' $$;"
            f"ALTER DATABASE {database} SET search_path = public, pg_catalog"
        )
    finally:
        await connection.close()
