"""A reserved port is ours alone, and our workers can listen on it."""

from __future__ import annotations

import socket
from typing import Any

import grpc
import pytest

from collector.errors import SettingsError
from collector.receive.listeners import ReservedPort, authority, shared_sockets


def test_a_taken_port_is_a_clear_error() -> None:
    """The text names the setting and the address, because that is what the operator must change."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(SettingsError, match=rf"receive\.grpc_port: .*127\.0\.0\.1:{port}"):
            ReservedPort("127.0.0.1", port, setting="receive.grpc_port", shared=True)


def test_two_daemons_cannot_reserve_one_port() -> None:
    """With SO_REUSEPORT alone, the second daemon would take half of the first one's connections."""
    first = ReservedPort("127.0.0.1", 0, setting="receive.grpc_port", shared=True)

    with pytest.raises(SettingsError):
        ReservedPort("127.0.0.1", first.port, setting="receive.grpc_port", shared=True)

    first.release()


async def test_workers_share_a_reserved_port_and_nobody_gets_in_between() -> None:
    """Two servers listen on it; a third party cannot, even while no worker listens."""
    held = ReservedPort("127.0.0.1", 0, setting="receive.grpc_port", shared=True)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", held.port))

    workers = [grpc.aio.server() for _ in range(2)]
    ports = [worker.add_insecure_port(authority("127.0.0.1", held.port)) for worker in workers]

    assert ports == [held.port, held.port]
    for worker in workers:
        await worker.stop(None)
    held.release()


def test_an_address_of_another_machine_is_a_clear_error() -> None:
    """192.0.2.1 belongs to nobody (RFC 5737)."""
    with pytest.raises(SettingsError, match=r"cannot listen on 192\.0\.2\.1"):
        ReservedPort("192.0.2.1", 0, setting="receive.grpc_host", shared=True)


def test_a_name_with_an_ipv6_address_that_is_not_here_is_the_rest_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a container without IPv6 ``localhost`` often means ``::1`` as well, and gRPC starts there."""
    kind = socket.SOCK_STREAM
    found: list[Any] = [
        (socket.AF_INET6, kind, 6, "", ("2001:db8::1", 0, 0, 0)),  # RFC 3849: nobody's
        (socket.AF_INET, kind, 6, "", ("127.0.0.1", 0)),
    ]

    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        return found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    held = ReservedPort("localhost", 0, setting="receive.grpc_port", shared=True)

    assert [one.getsockname() for one in held.sockets] == [("127.0.0.1", held.port)]
    held.release()
    del found[1]
    with pytest.raises(SettingsError, match="cannot listen on localhost"):
        ReservedPort("localhost", 0, setting="receive.grpc_port", shared=True)


@pytest.mark.parametrize(
    ("host", "name"),
    [("127.0.0.1", "127.0.0.1:4317"), ("::1", "[::1]:4317"), ("[::1]", "[::1]:4317")],
)
def test_an_ipv6_address_gets_its_brackets(host: str, name: str) -> None:
    """GRPC reads ``::1:4317`` as an address without a port."""
    assert authority(host, 4317) == name


async def test_a_port_is_free_again_at_once_after_its_listener_closed_connections() -> None:
    """The end that closes first keeps the connection for a minute; the next daemon must not wait."""
    held = ReservedPort("127.0.0.1", 0, setting="receive.http_port", shared=True)
    (listener,) = shared_sockets("127.0.0.1", held.port, setting="receive.http_port")
    listener.listen()
    with socket.create_connection(("127.0.0.1", held.port)) as sender:
        connection, _ = listener.accept()
        connection.close()
        assert sender.recv(1) == b""
    listener.close()
    held.release()

    again = ReservedPort("127.0.0.1", held.port, setting="receive.http_port", shared=True)

    again.release()
