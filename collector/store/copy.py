"""COPY of fact rows: the one bulk write, through the partitioned parent, in rows.X order."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from collector.rows import FACT_COLUMNS, FACT_TABLES
from collector.store.failures import translate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.rows import ConvertedRequest, Signal
    from collector.store.pool import Connection


async def copy_rows(
    connection: Connection,
    signal: Signal,
    requests: Sequence[ConvertedRequest],
    *,
    timeout_s: float,
) -> int:
    """COPY the rows of ``requests``, one after the other; return how many the server has taken.

    Raises:
        StoreError: translated, since only here is known which row was being encoded.
    """
    total = sum(len(request.rows) for request in requests)
    if not total:
        return 0
    table = FACT_TABLES[signal]
    rows = chain.from_iterable(request.rows for request in requests)
    try:
        status = await connection.copy_records_to_table(
            table, records=rows, columns=FACT_COLUMNS[signal], timeout=timeout_s
        )
    except Exception as error:
        # What is left tells which row the codec was at, at no cost for the rows that are fine.
        encoding = total - sum(1 for _ in rows) - 1
        raise translate(error, connection=connection, table=table, row=encoding) from error
    return int(status.removeprefix("COPY "))
