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
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple, Self

from pydantic import SecretStr

from collector.errors import OtlpgError, SettingsError, UnreachableError
from collector.settings import DatabaseSettings, Settings
from collector.settings.load import Loaded
from collector.store.embedded import default_data_dir

if TYPE_CHECKING:
    from collector.store.embedded import EmbeddedPostgres

FILE_NAME = "dev.json"
ORIGIN = "the running `otlpg dev`"
"""Where a setting comes from that nobody gave."""
SETTLED_S = 60.0
"""A server that dies twice within this time has a reason that another start does not remove."""


class RunningDev(NamedTuple):
    """Where a running `otlpg dev` can be reached."""

    pid: int
    dsn: str
    grpc_port: int
    http_port: int
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
        running = RunningDev(os.getpid(), dsn, ports["grpc"], ports["http"], ports["telemetry"])
        written = self._path.with_suffix(".new")
        written.unlink(missing_ok=True)
        opened = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "w") as file:
            json.dump(running._asdict(), file)
        written.replace(self._path)


class Guard:
    """Starts the PostgreSQL of `otlpg dev` again when it died, and says so once.

    One that dies again within ``SETTLED_S`` is left alone: ``failure`` is set, and ``end`` called.
    """

    def __init__(
        self,
        postgres: EmbeddedPostgres,
        folder: Path,
        *,
        tell: Callable[[str], None],
        end: Callable[[], None],
    ) -> None:
        self.failure: OtlpgError | None = None
        self._postgres = postgres
        self._folder = folder
        self._tell = tell
        self._end = end
        self._restart: Thread | None = None
        self._restarted_s = -SETTLED_S

    def look(self) -> None:
        """Look once; returns at once, and may be called from the loop."""
        at_work = self._restart is not None and self._restart.is_alive()
        if at_work or self.failure is not None or self._postgres.pid is not None:
            return
        now_s = time.monotonic()
        log = self._postgres.log_file
        if now_s - self._restarted_s < SETTLED_S:
            self._give_up(UnreachableError(f"PostgreSQL has died again; {log} says why"))
            return
        self._restarted_s = now_s
        self._tell(f"PostgreSQL has died ({log} says why); starting it again")
        self._restart = Thread(target=self._start)
        self._restart.start()

    def finish(self) -> None:
        """Wait for a restart under way, so that nothing is started after the end."""
        if self._restart is not None:
            self._restart.join()

    def _start(self) -> None:
        try:
            self._postgres.start(self._folder)
        except OtlpgError as error:
            self._give_up(error)
        else:
            self._tell("PostgreSQL is back; what was acknowledged is there")

    def _give_up(self, failure: OtlpgError) -> None:
        self.failure = failure
        self._end()


def find(folder: Path) -> RunningDev | None:
    """Return the `otlpg dev` that runs on ``folder``; None when none does, or it is not ours."""
    try:
        running = RunningDev(**json.loads((folder / FILE_NAME).read_text()))
        os.kill(running.pid, 0)  # asks whether the process exists; sends nothing
    except (OSError, ValueError, TypeError):
        return None
    return running


def data_dir(settings: Settings) -> Path:
    """Return the folder that `otlpg dev` uses with these settings.

    Raises:
        SettingsError: it begins with the home of a user who has none.
    """
    folder = settings.data_dir or default_data_dir()
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise SettingsError(f"the data folder {folder}: there is no such home") from error


def names_no_database(database: DatabaseSettings) -> bool:
    """Return whether nothing at all says which PostgreSQL is meant."""
    return not any((database.dsn, database.host, database.port, database.name, database.user))


def with_dsn(settings: Settings, dsn: str) -> Settings:
    """Return the settings with this address of PostgreSQL and no other."""
    cleared = dict.fromkeys(("host", "port", "name", "user", "password", "ssl_mode"))
    database = settings.database.model_copy(update={**cleared, "dsn": SecretStr(dsn)})
    return settings.model_copy(update={"database": database})


def beside_dev(loaded: Loaded, running: RunningDev | None = None) -> Loaded:
    """Return the settings; where they name no database, with that of a running `otlpg dev`.

    ``running`` spares the look for one.
    """
    settings = loaded.settings
    if not names_no_database(settings.database):
        return loaded
    running = running or find(data_dir(settings))
    if running is None:
        return loaded
    return loaded._replace(
        settings=with_dsn(settings, running.dsn),
        origins={**loaded.origins, "database.dsn": ORIGIN},
    )


def quiet(loaded: Loaded) -> Settings:
    """Return the settings with logs from warnings on, unless somebody chose a level.

    The terminal of `otlpg dev` belongs to the banner and the counts.
    """
    settings = loaded.settings
    if "telemetry.log_level" in loaded.origins:
        return settings
    telemetry = settings.telemetry.model_copy(update={"log_level": "warning"})
    return settings.model_copy(update={"telemetry": telemetry})
