"""settings.worker: a worker gets the settings of its supervisor, secrets included."""

from __future__ import annotations

from pathlib import Path

from collector.settings import Settings, from_worker_json, to_worker_json
from collector.settings.load import load


def test_round_trip_keeps_every_setting_and_secret() -> None:
    """What a worker reads equals what the supervisor has."""
    loaded = load(
        config=None,
        flags={"data_dir": Path("/data"), "receive.insecure": True},
        environ={
            "DATABASE_URL": "postgresql://u:p@h/d",
            "REDIS_URL": "redis://:q@r",
            "OTLPG_RECEIVE__GRPC_HOST": "0.0.0.0",
            "OTLPG_INGEST__LEDGER_WINDOW_H": "90min",
        },
    )

    there = from_worker_json(to_worker_json(loaded))

    assert there == loaded
    assert there.database.dsn is not None
    assert there.database.dsn.get_secret_value() == "postgresql://u:p@h/d"


def test_defaults_round_trip() -> None:
    """Settings without any secret cross as well."""
    assert from_worker_json(to_worker_json(Settings())) == Settings()
