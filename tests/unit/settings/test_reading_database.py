"""settings: how whoever reads reaches PostgreSQL."""

from __future__ import annotations

import pytest

from collector.settings import Settings
from collector.settings.load import load
from collector.store.pool import resolve_dsn

DAEMON = "postgresql://writer:secret@db:5433/otlpg?application_name=x"
READER = "postgresql://reader:other@db:5433/otlpg"


def settings(**environ: str) -> Settings:
    """Return settings out of the environment alone."""
    return load(config=None, flags={}, environ=environ)


@pytest.mark.parametrize(
    ("environ", "role", "dsn"),
    [
        ({"DATABASE_URL": DAEMON}, None, DAEMON),
        ({"DATABASE_URL": DAEMON, "OTLPG_API__DSN": READER}, None, READER),
        ({"DB_HOST": "h", "DB_PASSWORD": "p", "OTLPG_API__DSN": READER}, None, READER),
        ({"DB_HOST": "h", "DB_USER": "u", "DB_PASSWORD": "p"}, None, "postgresql://u:p@h"),
        ({"DB_HOST": "h", "DB_USER": "u", "DB_PASSWORD": "p"}, "r", "postgresql://r@h"),
        ({"OTLPG_API__DSN": READER}, "r", "postgresql://r@db:5433/otlpg"),
        (
            {"DATABASE_URL": DAEMON}, "a/b",
            "postgresql://a%2Fb@db:5433/otlpg?application_name=x",
        ),
    ],
)  # fmt: skip
def test_a_reader_has_one_address(environ: dict[str, str], role: str | None, dsn: str) -> None:
    """That of the API, else the daemon's; another role is never sent the password of the first."""
    assert resolve_dsn(settings(**environ).reading_database(role)) == dsn
