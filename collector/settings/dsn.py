"""One address of PostgreSQL out of a URL and single fields that came from different layers.

The parts of a stronger layer are written into the URL, and the parts of a weaker one fill what the
URL leaves open, as libpq does with ``PGPASSWORD`` and its like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import SecretStr

PARTS: Mapping[str, str] = {
    "host": "host",
    "port": "port",
    "name": "dbname",
    "user": "user",
    "password": "password",
    "ssl_mode": "sslmode",
}
"""The single fields of an address, each with libpq's name for it in the query of a URL."""


def merge_parts(dsn: str, stronger: Mapping[str, str], weaker: Mapping[str, str]) -> str:
    """Return the URL with the stronger parts written over its own and the weaker ones added.

    What the URL holds beside the parts (several hosts, ``application_name``, certificates) stays.
    """
    address = Address.from_dsn(dsn)
    address.fill(weaker)
    address.change(stronger)
    return dsn if address == Address.from_dsn(dsn) else address.to_dsn()


@dataclass
class Address:
    """A PostgreSQL URL taken apart; ``parts`` are decoded and hold no empty value."""

    scheme: str
    parts: dict[str, str]
    hosts: str  # as in the URL when it names several, else empty
    query: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def from_dsn(cls, dsn: str) -> Address:
        """Take a URL apart; a part in its query counts where its place in the URL is empty.

        Raises:
            ValueError: no URL of PostgreSQL; the text quotes nothing of it.
        """
        if not dsn.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        try:
            split = urlsplit(dsn)
        except ValueError:
            raise ValueError("is not a valid URL") from None
        login, _, hosts = split.netloc.rpartition("@")
        user, _, password = login.partition(":")
        host, port = _host_and_port(hosts)
        if split.fragment or (port and not port.isdecimal()):
            raise ValueError(
                "is not a valid URL: write signs such as / # ? @ of a password as %2F %23 %3F %40"
            )
        query = dict(parse_qsl(split.query, keep_blank_values=True))
        in_place = {
            "host": host,
            "port": port,
            "name": split.path.removeprefix("/"),
            "user": user,
            "password": password,
        }
        parts = {part: unquote(value) for part, value in in_place.items() if value}
        for part, name in PARTS.items():
            value = query.pop(name, "")
            if value:
                parts.setdefault(part, value)
        return cls(split.scheme, parts, hosts if "," in hosts else "", query)

    def fill(self, parts: Mapping[str, str]) -> None:
        """Add the parts that the URL leaves open; a port goes to every host without one."""
        self.parts = {**parts, **self.parts}
        if self.hosts and "port" in parts:
            self.hosts = ",".join(
                host if _host_and_port(host)[1] else f"{host}:{parts['port']}"
                for host in self.hosts.split(",")
            )

    def change(self, parts: Mapping[str, str]) -> None:
        """Write parts over those of the URL; a host replaces a list of several, a port is for all."""
        self.parts.update(parts)
        if "host" in parts:
            self.hosts = ""
        elif self.hosts and "port" in parts:
            self.hosts = ",".join(
                f"{_without_port(host)}:{parts['port']}" for host in self.hosts.split(",")
            )

    def to_dsn(self) -> str:
        """Return the URL, with what has no place in it (a socket folder, TLS) in its query."""
        parts, query = self.parts, dict(self.query)
        host, port = parts.get("host", ""), parts.get("port", "")
        hosts = self.hosts
        if not hosts and host and not host.startswith("/"):
            hosts = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
        elif not hosts:
            query |= {name: value for name, value in (("host", host), ("port", port)) if value}
        if "ssl_mode" in parts:
            query["sslmode"] = parts["ssl_mode"]
        login = quote(parts.get("user", ""), safe="")
        if "password" in parts:
            login += ":" + quote(parts["password"], safe="")
        return (
            f"{self.scheme}://{login}{'@' if login else ''}{hosts}"
            + ("/" + quote(parts["name"], safe="") if "name" in parts else "")
            + ("?" + urlencode(query, quote_via=quote, safe="/") if query else "")
        )


def _without_port(host: str) -> str:
    """Return one host of a URL's host list, with the brackets of an IPv6 address."""
    port = _host_and_port(host)[1]
    return host.removesuffix(f":{port}") if port else host


def _host_and_port(hosts: str) -> tuple[str, str]:
    """Return the first host and port of a URL's host list; either may be empty."""
    first = hosts.split(",")[0]
    if first.startswith("["):
        host, _, rest = first[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = first.partition(":")
    return host, port


def check_dsn(dsn: SecretStr | None) -> SecretStr | None:
    """Return ``dsn`` if it is an address of PostgreSQL, or None.

    Raises:
        ValueError: it is not.
    """
    if dsn is not None:
        Address.from_dsn(dsn.get_secret_value())
    return dsn
