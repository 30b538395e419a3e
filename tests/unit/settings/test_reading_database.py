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
    ("environ", "dsn"),
    [
        ({"DATABASE_URL": DAEMON}, DAEMON),
        ({"DATABASE_URL": DAEMON, "OTLPG_API__DSN": READER}, READER),
        ({"DB_HOST": "h", "DB_PASSWORD": "p", "OTLPG_API__DSN": READER}, READER),
        ({"DB_HOST": "h", "DB_USER": "u", "DB_PASSWORD": "p"}, "postgresql://u:p@h"),
    ],
)
def test_a_reader_has_one_address(environ: dict[str, str], dsn: str) -> None:
    """That of the API, which nothing of the daemon's is mixed into, else the daemon's."""
    assert resolve_dsn(settings(**environ).reading_database()) == dsn
