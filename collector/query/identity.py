"""Which database is asked: two of them never share an answer that somebody kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.query.statement import Statement

if TYPE_CHECKING:
    from collector.query.view import Views

_WHO: Final = Statement(
    "SELECT oid::text, pg_postmaster_start_time()::text, current_user::text"
    " FROM pg_database WHERE datname = current_database()"
)


async def database_identity(views: Views) -> str:
    """Return what tells this database, as this role sees it, from every other.

    A cluster has no name of its own that every role may read, and a copy of it has the same; the
    microsecond in which its server started is another for each, and a new one after a restart.
    ``Database.identity`` must outlive a restart instead, and is None for a role that may not ask.

    Raises:
        QueryTimeoutError: the time was up.
        StoreError: PostgreSQL did not answer.
    """
    async with views.open() as view:
        ((oid, started, role),) = await view.rows(_WHO)
    return f"{oid} {started} {role}"
