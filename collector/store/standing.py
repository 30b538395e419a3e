"""Whether PostgreSQL takes what this worker writes: what ``otlpg_store_up`` and readiness say.

Two witnesses must agree. The pulse asks whether we may and could write, so it also speaks of an idle
daemon; transactions know what no question tells (a full disk, a standby that does not answer). What
is one request's own trouble (a row, a lock, a size, a time) is no word about the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from collector.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collector.errors import StoreError
    from collector.telemetry.clock import Clock
    from collector.telemetry.metrics import Metrics

FAILURE_S: Final = 5.0
"""A failure that nobody repeats for so long is over. Failing requests are tried again every second
or so; without this a worker that is sent nothing because it is not ready would never be ready."""

_SERVER_OR_ROLE: Final = ("3F", "42")
"""No schema; no privilege, no such table or column. All of it is about our own statements."""

_HINTS: Final = {
    "25006": "the server is a standby, or default_transaction_read_only is on",
    "3F000": "set search_path to the schema of otlpg",
    "42501": "run `otlpg migrate up --roles` and grant otlpg_ingest to this role",
    "42P01": "`otlpg migrate up` makes the tables; search_path must lead to them",
}


def hint(sqlstate: str) -> str:
    """Return what an operator can do about a failure; empty when the code says it all."""
    return _HINTS.get(sqlstate, "")


class Standing:
    """What the pulse and the last transaction of each signal say, as one gauge."""

    def __init__(self, *, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._could_write = True
        self._failed_s: dict[str, float] = {}

    def asked(self, *, could_write: bool) -> None:
        """Note the answer to the pulse."""
        self._could_write = could_write
        self._tell()

    def stored(self, signal: str) -> None:
        """Note that a transaction of ``signal`` is committed."""
        self._failed_s.pop(signal, None)
        self._tell()

    def failed(self, signal: str, error: StoreError) -> None:
        """Note that a transaction of ``signal`` failed; ignored if that may be one request's fault."""
        if isinstance(error, StoreUnavailableError) or error.sqlstate.startswith(_SERVER_OR_ROLE):
            self._failed_s[signal] = self._clock.monotonic_s()
            self._tell()

    def _tell(self) -> None:
        oldest_s = self._clock.monotonic_s() - FAILURE_S
        failing = any(failed_s > oldest_s for failed_s in self._failed_s.values())
        self._metrics.store_up.set(self._could_write and not failing)
