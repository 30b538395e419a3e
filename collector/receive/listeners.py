"""The addresses otlpg listens on, and holding their ports for all workers."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import NamedTuple, Self

from collector.errors import SettingsError


def authority(host: str, port: int) -> str:
    """Return ``host:port`` with brackets around an IPv6 address."""
    host = host.strip("[]")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class Sockets(NamedTuple):
    """Where the workers and the API of one daemon meet."""

    tail: Path
    """Workers tell what they committed."""
    jaeger: Path
    """Workers pass on what Jaeger asks."""

    @classmethod
    def within(cls, folder: Path) -> Self:
        """Return their paths in a folder that only this user may enter."""
        return cls(folder / "tail", folder / "read")


class ReservedPort:
    """Holds a TCP port while workers come and go.

    The bind is exclusive, so a port that anybody listens on already is an error here and not a
    surprise later (with SO_REUSEPORT alone, two daemons would share the port silently). A shared
    port is then opened to sockets of the same user that ask for SO_REUSEPORT: the workers'
    listeners. A bound socket that does not listen gets no connections.
    """

    def __init__(
        self, host: str, port: int, *, setting: str, shared: bool, beside: bool = False
    ) -> None:
        """Bind every address of ``host``; ``port`` 0 picks one port for all of them.

        ``beside``: others may hold it already, if they share it as well; not exclusive, then.

        An IPv6 address that this machine does not have is left out when another is there, as gRPC
        leaves it out: in many containers ``localhost`` still means ``::1`` too.

        Raises:
            SettingsError: the host has no address here, or the port is taken.
        """
        self.port = port
        self._shared = shared
        self._beside = beside
        self.sockets: list[socket.socket] = []
        name = authority(host, port)
        absent: OSError | None = None
        try:
            for family, *_, address in socket.getaddrinfo(
                host.strip("[]"), port or None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                try:
                    self._bind(family, address)
                except OSError as error:
                    if family != socket.AF_INET6 or error.errno not in _ABSENT:
                        raise
                    absent = error
            if absent is not None and not self.sockets:
                raise absent
        except OSError as error:
            self.release()
            reason = error.strerror or "no such address"
            raise SettingsError(f"{setting}: cannot listen on {name}: {reason}") from error

    def _bind(self, family: int, address: tuple[object, ...]) -> None:
        held = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._bind_one(held, family, address)
        except OSError:
            held.close()
            raise
        self.sockets.append(held)

    def _bind_one(self, held: socket.socket, family: int, address: tuple[object, ...]) -> None:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, self._beside)
        if family == socket.AF_INET6:  # gRPC listens on "::" for both families
            only = address[0] != "::"
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        held.bind((address[0], self.port, *address[2:]))
        self.port = held.getsockname()[1]
        # A listener hands it down to its connections: without it those of a daemon that has just
        # ended would keep the next one from the port for a minute.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, self._beside)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, self._shared)

    def release(self) -> None:
        """Give the port back. Safe twice."""
        for held in self.sockets:
            held.close()
        self.sockets.clear()


def shared_sockets(host: str, port: int, *, setting: str) -> list[socket.socket]:
    """Return sockets bound to every address of ``host``, beside those of the other workers.

    Shape: at least one, none of which listens yet; the caller owns them.

    Raises:
        SettingsError: as ``ReservedPort``; the port may be one that this user has reserved.
    """
    bound = ReservedPort(host, port, setting=setting, shared=True, beside=True)
    return bound.sockets
