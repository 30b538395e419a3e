"""What a running `otlpg dev` tells the other commands of the same user.

Context: `otlpg send-test` and `otlpg check` have to work beside `otlpg dev` without any setting.
Decision: dev leaves one small file (mode 0600) in its data folder, with its addresses and process
id, and takes it away when it stops. A file that a killed dev left is known by its process id.
Rejected: a fixed port for PostgreSQL, which would clash with one that runs already and would open
the data to every user of the machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import SecretStr

from collector.settings import DatabaseSettings, Loaded, Settings
from collector.store.embedded import default_data_dir

FILE_NAME = "dev.json"


class RunningDev(NamedTuple):
    """Where a running `otlpg dev` can be reached."""

    pid: int
    dsn: str
    grpc_port: int
    telemetry_port: int


class Publication:
    """The file in the data folder: there from ``publish`` to the end of the ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)

    def publish(self, dsn: str, ports: Mapping[str, int]) -> None:
        """Write the file at once and whole; only its owner can read it."""
        running = RunningDev(os.getpid(), dsn, ports["grpc"], ports["telemetry"])
        written = self._path.with_suffix(".new")
        written.unlink(missing_ok=True)
        opened = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "w") as file:
            json.dump(running._asdict(), file)
        written.replace(self._path)


def find(folder: Path) -> RunningDev | None:
    """Return the `otlpg dev` that runs on ``folder``; None when none does, or it is not ours."""
    try:
        running = RunningDev(**json.loads((folder / FILE_NAME).read_text()))
        os.kill(running.pid, 0)  # asks whether the process exists; sends nothing
    except (OSError, ValueError, TypeError):
        return None
    return running


def data_dir(settings: Settings) -> Path:
    """Return the folder that `otlpg dev` uses with these settings."""
    return (settings.data_dir or default_data_dir()).expanduser()


def names_no_database(database: DatabaseSettings) -> bool:
    """Return whether nothing at all says which PostgreSQL is meant."""
    return not any((database.dsn, database.host, database.port, database.name, database.user))


def with_dsn(settings: Settings, dsn: str) -> Settings:
    """Return the settings with this address of PostgreSQL and no other."""
    cleared = dict.fromkeys(("host", "port", "name", "user", "password", "ssl_mode"))
    database = settings.database.model_copy(update={**cleared, "dsn": SecretStr(dsn)})
    return settings.model_copy(update={"database": database})


def quiet(loaded: Loaded) -> Settings:
    """Return the settings with logs from warnings on, unless somebody chose a level.

    The terminal of `otlpg dev` belongs to the banner and the counts.
    """
    settings = loaded.settings
    if "telemetry.log_level" in loaded.origins:
        return settings
    telemetry = settings.telemetry.model_copy(update={"log_level": "warning"})
    return settings.model_copy(update={"telemetry": telemetry})
