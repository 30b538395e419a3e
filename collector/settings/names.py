"""The names a setting has: dotted, in the environment, and those that other tools gave it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from collector.settings.models import Settings
from collector.settings.stage import Stage

PREFIX = "OTLPG_"
CONFIG_NAME = "OTLPG_CONFIG"
"""Names the settings file; not a setting itself."""
CLIENT_NAMES = frozenset({"OTLPG_URL", "OTLPG_API_KEY"})
"""Where the API is, and the key to read it, for commands that are its clients; no settings either.
Whoever has them in the environment starts daemons too."""


def fields(model: type[Stage] = Settings, path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every setting as its dotted name and its field, in the order of declaration."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Stage):
            yield from fields(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", field


FIELDS: Mapping[str, FieldInfo] = MappingProxyType(dict(fields()))
SECTIONS = frozenset(name.rpartition(".")[0] for name in FIELDS) - {""}


def bounds(field: FieldInfo) -> Iterator[str]:
    """Yield ``>= 1`` and the like for each bound of a setting."""
    for item in field.metadata:
        for attribute, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
            bound = getattr(item, attribute, None)
            if bound is not None:
                yield f"{sign} {bound:,}".replace(",", " ")


def allowed(field: FieldInfo) -> str:
    """Return the bounds of a setting, or its choices; nothing when it has neither."""
    choices: tuple[Any, ...] = ()
    if get_origin(field.annotation) is Literal:
        choices = get_args(field.annotation)
    return ", ".join([*bounds(field), *map(str, choices)])


def environment_name(setting: str) -> str:
    """Return ``OTLPG_INGEST__FLUSHERS`` for ``ingest.flushers``."""
    return PREFIX + setting.upper().replace(".", "__")


ENVIRONMENT: Mapping[str, str] = MappingProxyType({environment_name(name): name for name in FIELDS})
"""Our own environment names, each with its setting."""

ALIASES: tuple[Mapping[str, str], ...] = (
    MappingProxyType({"DATABASE_URL": "database.dsn"}),
    MappingProxyType(
        {
            "DB_HOST": "database.host",
            "DB_PORT": "database.port",
            "DB_NAME": "database.name",
            "DB_USER": "database.user",
            "DB_PASSWORD": "database.password",
            "DB_SSL_MODE": "database.ssl_mode",
            "DB_APP_NAME": "database.app_name",
            "DB_MAX_CONNECTIONS": "database.connections_max",
            "DB_MIN_CONNECTIONS": "database.connections_min",
        }
    ),
    MappingProxyType(
        {
            "PGHOST": "database.host",
            "PGPORT": "database.port",
            "PGDATABASE": "database.name",
            "PGUSER": "database.user",
            "PGPASSWORD": "database.password",
            "PGSSLMODE": "database.ssl_mode",
            "PGAPPNAME": "database.app_name",
        }
    ),
    MappingProxyType(
        {
            "REDIS_URL": "redis.url",
            "REDIS_POOL_SIZE": "redis.pool_size",
            "REDIS_TIMEOUT": "redis.timeout_s",
        }
    ),
)
"""Names that people have already, the first group above the next.

PGPASSFILE, PGSSLROOTCERT and the rest of libpq's names are read by the driver itself.
"""

FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "workers": "--workers",
        "data_dir": "--data-dir",
        "receive.grpc_host": "--grpc-host",
        "receive.grpc_port": "--grpc-port",
        "receive.http_host": "--http-host",
        "receive.http_port": "--http-port",
        "receive.insecure": "--insecure",
        "telemetry.host": "--telemetry-host",
        "telemetry.port": "--telemetry-port",
        "telemetry.log_level": "--log-level",
        "telemetry.log_format": "--log-format",
    }
)
"""Settings that a command takes as an option."""

_SERVICE_VARIABLE = re.compile(
    r"[A-Z0-9_]+_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_PORT_URL = re.compile(r"(tcp|udp|sctp)://")


def is_kubernetes_noise(name: str, value: str) -> bool:
    """Return whether Kubernetes put this in for a Service, rather than an operator for us.

    A Service called ``otlpg`` gives every Pod of its namespace ``OTLPG_SERVICE_HOST``,
    ``OTLPG_PORT=tcp://10.0.0.1:4317``, ``OTLPG_PORT_4317_TCP_ADDR`` and the like; one called ``db``
    gives ``DB_PORT=tcp://..``. ``OTLPG_PORT=4317`` was written by a person, so it is not noise.

    Spec: kubernetes.io, "Accessing the Service", environment variables.
    """
    if _SERVICE_VARIABLE.fullmatch(name):
        return True
    return name.endswith("_PORT") and _PORT_URL.match(value) is not None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the closest known name, or nothing when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
