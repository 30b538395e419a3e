"""Connections to PostgreSQL: how one is made, and a small pool that can never hang.

asyncpg's own pool was not taken: it sends a reset query (one more round trip) at each release, its
``close()`` waits for every holder and every server, and its proxies hide ``terminate``. What we
need is less: a bound, a stack of idle connections, and the right to throw one away at once.

Everything works behind pgbouncer in transaction mode: no prepared statement outlives its
transaction, and the only start-up parameter is ``application_name``, which pgbouncer tracks.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from collector.errors import SettingsError, StoreUnavailableError
from collector.settings.dsn import Address

if TYPE_CHECKING:
    from collector.settings import DatabaseSettings

    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

DRIVER_ERRORS = (
    asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError,
)  # fmt: skip
"""What a connection raises; ``failures.translate`` makes ours of it. TimeoutError is an OSError."""

KEEPALIVE_IDLE_S = 15
KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_PROBES = 3
TCP_USER_TIMEOUT_S = 30
"""Bytes that the peer's kernel did not take for this long mean that it is gone."""

CLOSE_S_MAX = 2.0
"""A polite good-bye may take this long at ``stop``; then connections are cut."""

_LIBPQ_ONLY = frozenset(
    {
        "channel_binding", "client_encoding", "connect_timeout", "fallback_application_name",
        "gssdelegation", "gssencmode", "keepalives", "keepalives_count", "keepalives_idle",
        "keepalives_interval", "load_balance_hosts", "max_protocol_version",
        "min_protocol_version", "pgbouncer", "replication", "require_auth", "requirepeer",
        "sslcompression", "sslsni", "tcp_user_timeout",
    }
)  # fmt: skip
"""Words of a DSN that steer libpq; asyncpg would send them to the server, which refuses them."""


_PARAMETER = "correct or remove the words after the ? in DATABASE_URL: the server refuses one"
_HINTS: Mapping[str, str] = {
    "28P01": "correct the password in DATABASE_URL or DB_PASSWORD, or the role in DB_USER",
    "28000": (
        "correct the role in DATABASE_URL or DB_USER; if it exists, pg_hba.conf of the server does "
        "not let it in from here"
    ),
    "3D000": "correct the name in DATABASE_URL or DB_NAME, or make the database: createdb NAME",
    "42501": "grant the role CONNECT on the database",
    "42704": _PARAMETER,
    "22023": _PARAMETER,
    "53300": "the server has no connection free: raise its max_connections, or stop somebody else",
    "57P03": "the server is starting or stopping; try again in a moment",
}
"""What to do about a connection that the server itself refused, by SQLSTATE."""


_IDENTITY = """\
SELECT to_hex(system_identifier) || '.' || oid
  FROM pg_control_system(), pg_database WHERE datname = current_database()"""
"""Of a cluster, its standbys too, and of a database in it; a copy of its files alone has the same."""


class OtlpgConnection(asyncpg.Connection):  # pyright: ignore[reportMissingTypeArgument]
    """An asyncpg connection whose socket notices a peer that vanished without a word."""

    def __init__(self, protocol: Any, transport: Any, *args: Any) -> None:
        super().__init__(protocol, transport, *args)  # pyright: ignore[reportUnknownMemberType]
        _watch(transport.get_extra_info("socket"))


async def connect(settings: DatabaseSettings, **overrides: Any) -> Connection:
    """Open one connection with our codecs, or raise within ``connect_s_max``.

    ``overrides`` go to ``asyncpg.connect`` as they are, for example ``database="postgres"``.

    Units: ``timestamptz`` is an integer, microseconds since 2000-01-01 UTC, both ways. ``jsonb``
    is text, ``date`` a ``datetime.date``.

    Raises:
        StoreUnavailableError: no server answered, or it did not let us in; ``sqlstate`` tells.
        SettingsError: the DSN cannot be read.
    """
    arguments: dict[str, Any] = {
        "timeout": settings.connect_s_max,
        "statement_cache_size": 0,
        "server_settings": {"application_name": settings.app_name},
        "connection_class": OtlpgConnection,
        **overrides,
    }
    try:
        connection: Connection = await asyncpg.connect(resolve_dsn(settings), **arguments)
    except (asyncpg.PostgresError, asyncpg.InternalClientError, OSError) as error:
        # The second: no host is what target_session_attrs asks for, as during a failover.
        raise StoreUnavailableError(
            f"cannot connect to PostgreSQL at {describe(settings)}: {_cause(error)}",
            sqlstate=getattr(error, "sqlstate", None) or "",
            hint=_hint(error),
        ) from error
    except (asyncpg.InterfaceError, ValueError) as error:
        raise SettingsError(f"database settings ({describe(settings)}): {error}") from error
    # Built-in types are looked up in asyncpg's own table: no query, no round trip.
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        format="tuple",
        encoder=_pack_microseconds,
        decoder=_unpack_microseconds,
    )
    return connection


def resolve_dsn(settings: DatabaseSettings) -> str:
    """Return the DSN that ``settings`` mean. It holds the password: never log it.

    What is not given is left out, so that ``PG*`` variables, the service file and the password
    file count as they do for ``psql``.

    Raises:
        SettingsError: the DSN is not a PostgreSQL URL.
    """
    return _address(settings).to_dsn()


def describe(settings: DatabaseSettings) -> str:
    """Return where ``settings`` point to as ``host:port/name``, fit for logs: no secret in it."""
    address = _address(settings)
    parts = address.parts
    host = address.hosts or parts.get("host") or os.environ.get("PGHOST") or "the default host"
    port = f":{parts['port']}" if "port" in parts and not address.hosts else ""
    name = parts.get("name") or os.environ.get("PGDATABASE")
    return f"{host}{port}/{name}" if name else f"{host}{port}"


class Database:
    """At most ``connections_max`` connections, handed out to one holder each.

    A connection comes back clean or not at all: one that is closed, inside a transaction, or whose
    holder left with anything but an error of PostgreSQL itself, is cut.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        self.identity: str | None = None
        """Which database of which cluster this is, in short; None until it was reached, and for a
        role that may not ask. The same after a restart and for every role, since tails find each
        other by it; what readers keep goes by ``query.identity``, which changes with both."""
        self._may_ask_identity = True
        self._slots = asyncio.Semaphore(settings.connections_max)
        self._idle: list[Connection] = []
        self._held: set[Connection] = set()
        self._waiting = 0
        self._stopped = False

    async def start(self) -> None:
        """Open ``connections_min`` connections, so that the first flush finds one.

        Raises:
            StoreUnavailableError: PostgreSQL did not let us in; ``start`` may be called again.
        """
        self._stopped = False
        wanted = min(self.settings.connections_min, self.settings.connections_max)
        taken: list[Connection] = []
        try:
            while len(self._idle) + len(self._held) < wanted:
                taken.append(await self._take_new())
        finally:
            for connection in taken:
                self.release(connection)

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[Connection]:
        """Lend a connection for a block.

        Raises:
            StoreUnavailableError: PostgreSQL did not let us in, or no connection came free within
                ``connect_s_max``.
        """
        connection = await self.take()
        try:
            yield connection
        except asyncpg.PostgresError:
            self.release(connection)
            raise
        except BaseException:
            await self.discard(connection)  # cancelled or broken in the middle of who knows what
            raise
        else:
            self.release(connection)

    async def take(self) -> Connection:
        """Lend a connection until ``release`` or ``discard``, for a holder that keeps its own.

        Raises:
            StoreUnavailableError: as ``acquire``.
        """
        await self._enter()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                self._held.add(connection)
                return connection
        return await self._open()

    def release(self, connection: Connection) -> None:
        """Take ``connection`` back; for one that is no longer held this does nothing."""
        if connection not in self._held:
            return
        self._held.remove(connection)
        self._slots.release()
        if self._stopped or connection.is_closed() or connection.is_in_transaction():
            connection.terminate()
        else:
            self._idle.append(connection)

    async def discard(self, connection: Connection) -> None:
        """Cut ``connection`` without a word to the server; its place is free for a new one."""
        connection.terminate()
        if connection in self._held:
            self._held.remove(connection)
            self._slots.release()

    async def stop(self) -> None:
        """Close what is idle within ``CLOSE_S_MAX`` and cut everything else."""
        self._stopped = True
        idle, self._idle = self._idle, []
        await asyncio.gather(
            *(connection.close(timeout=CLOSE_S_MAX) for connection in idle), return_exceptions=True
        )
        for connection in [*idle, *self._held]:
            connection.terminate()

    def statistics(self) -> dict[str, int]:
        """Return the number of connections by state, of waiting takers, and the bound."""
        return {
            "idle": len(self._idle),
            "held": len(self._held),
            "waiting": self._waiting,
            "max": self.settings.connections_max,
        }

    async def _take_new(self) -> Connection:
        await self._enter()
        return await self._open()

    async def _enter(self) -> None:
        """Take a place under the bound, or raise after ``connect_s_max``."""
        if self._stopped:
            raise StoreUnavailableError("the connection pool is stopped")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.settings.connect_s_max):
                await self._slots.acquire()
        except TimeoutError:
            raise StoreUnavailableError(
                f"all {self.settings.connections_max} connections to PostgreSQL are in use; "
                "raise database.connections_max (DB_MAX_CONNECTIONS)"
            ) from None
        finally:
            self._waiting -= 1

    async def _open(self) -> Connection:
        """Connect in a place already taken; free the place when that fails."""
        try:
            connection = await connect(self.settings)
        except BaseException:
            self._slots.release()
            raise
        if self._stopped:
            connection.terminate()
            self._slots.release()
            raise StoreUnavailableError("the connection pool is stopped")
        self._held.add(connection)
        if self._may_ask_identity:
            await self._learn_identity(connection)
        return connection

    async def _learn_identity(self, connection: Connection) -> None:
        """Ask which database it is: another one may be behind the same address by now.

        Without an answer the connection is of no use, without the right it is.
        """
        try:
            self.identity = await connection.fetchval(
                _IDENTITY, timeout=self.settings.connect_s_max
            )
        except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedFunctionError):
            self._may_ask_identity = False
        except BaseException as error:
            await self.discard(connection)
            if not isinstance(error, DRIVER_ERRORS):
                raise
            raise StoreUnavailableError(
                f"PostgreSQL at {describe(self.settings)} does not answer: {_cause(error)}"
            ) from error


def _address(settings: DatabaseSettings) -> Address:
    """Return the address that ``settings`` mean, without words that asyncpg does not know."""
    if settings.dsn is None:
        password = settings.password.get_secret_value() if settings.password else None
        parts = {
            "host": settings.host,
            "port": str(settings.port) if settings.port else None,
            "name": settings.name,
            "user": settings.user,
            "password": password,
            "ssl_mode": settings.ssl_mode,
        }
        given = {part: value for part, value in parts.items() if value}
        return Address(scheme="postgresql", parts=given, hosts="")
    try:
        address = Address.from_dsn(settings.dsn.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"database.dsn {error}") from None
    address.query = {k: v for k, v in address.query.items() if k not in _LIBPQ_ONLY}
    if settings.ssl_mode is not None:
        address.parts.setdefault("ssl_mode", settings.ssl_mode)
    return address


def _hint(error: Exception) -> str:
    """Return what an operator does about a failed connection attempt; empty when it may be away."""
    if isinstance(error, socket.gaierror):
        return "no such host is known here: correct the host in DATABASE_URL or DB_HOST"
    if isinstance(error, ssl.SSLError):
        return "TLS failed: correct sslmode or sslrootcert in DATABASE_URL, or DB_SSL_MODE"
    return _HINTS.get(getattr(error, "sqlstate", None) or "", "")


def _cause(error: Exception) -> str:
    """Return one line about a failed connection attempt."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _watch(sock: socket.socket | None) -> None:
    """Let the kernel find out that a TCP peer vanished; other sockets need nothing."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (  # each exists on some systems only
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", TCP_USER_TIMEOUT_S * 1000),
    ):
        number = getattr(socket, option, None)
        if number is not None:
            sock.setsockopt(socket.IPPROTO_TCP, number, value)


def _pack_microseconds(value: int) -> tuple[int]:
    return (value,)


def _unpack_microseconds(value: tuple[int]) -> int:
    return value[0]
