"""operate.dev: what a running `otlpg dev` leaves for other commands."""

from __future__ import annotations

import stat
from pathlib import Path

from pydantic import SecretStr

from collector.errors import UnreachableError
from collector.operate.dev import (
    FILE_NAME,
    Guard,
    Publication,
    RunningDev,
    data_dir,
    find,
    names_no_database,
    quiet,
    with_dsn,
)
from collector.settings import DatabaseSettings, Settings
from collector.settings.load import load_with_origins
from collector.store.embedded import EmbeddedPostgres

PORTS = {"grpc": 4317, "http": 4318, "telemetry": 9095}


def test_published_addresses_are_found_until_the_end(tmp_path: Path) -> None:
    """The file is there for as long as the daemon serves, and not longer."""
    with Publication(tmp_path) as publication:
        assert find(tmp_path) is None
        publication.publish("postgresql://x", PORTS)
        running = find(tmp_path)

    assert running is not None
    assert running[1:] == ("postgresql://x", 4317, 4318, 9095)
    assert find(tmp_path) is None


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    """It names a database that asks for no password."""
    with Publication(tmp_path) as publication:
        publication.publish("postgresql://x", PORTS)
        mode = stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode)

    assert mode == 0o600


def test_file_of_a_process_that_is_gone_counts_as_none(tmp_path: Path) -> None:
    """What a killed dev left behind sends nobody to a dead address."""
    never = 2**22 + 1  # above the largest process id of Linux
    (tmp_path / FILE_NAME).write_text(
        f'{{"pid": {never}, "dsn": "x", "grpc_port": 1, "http_port": 3, "telemetry_port": 2}}'
    )

    assert find(tmp_path) is None


def test_file_that_is_not_ours_counts_as_none(tmp_path: Path) -> None:
    """Neither text nor another version's fields are an error."""
    for text in ("", "[]", "no json", '{"pid": 1}'):
        (tmp_path / FILE_NAME).write_text(text)
        assert find(tmp_path) is None


def test_find_returns_named_fields(tmp_path: Path) -> None:
    """What is written is what is read."""
    with Publication(tmp_path) as publication:
        publication.publish("postgresql://x", PORTS)
        running = find(tmp_path)

    assert isinstance(running, RunningDev)
    assert running.grpc_port == 4317


def test_data_dir_is_the_setting_or_a_default(tmp_path: Path) -> None:
    """A tilde is the user's home."""
    assert data_dir(Settings(data_dir=tmp_path)) == tmp_path
    assert data_dir(Settings(data_dir=Path("~/x"))) == Path.home() / "x"
    assert data_dir(Settings()).name == "otlpg"


def test_names_no_database_only_without_any_part_of_an_address() -> None:
    """A password or a pool size alone name no server."""
    assert names_no_database(DatabaseSettings(password=SecretStr("x"), connections_max=9))
    assert not names_no_database(DatabaseSettings(host="h"))
    assert not names_no_database(DatabaseSettings(name="d"))


def test_with_dsn_leaves_no_other_address() -> None:
    """The single fields would win nothing, but they would mislead."""
    settings = Settings(database=DatabaseSettings(host="h", password=SecretStr("p")))

    database = with_dsn(settings, "postgresql:///d").database

    assert (database.host, database.password) == (None, None)
    assert database.dsn is not None


def test_quiet_unless_a_level_was_chosen() -> None:
    """The setting of the environment is not overruled by what dev prefers."""
    plain = load_with_origins(config=None, flags={}, environ={})
    chosen = load_with_origins(
        config=None, flags={}, environ={"OTLPG_TELEMETRY__LOG_LEVEL": "info"}
    )

    assert quiet(plain).telemetry.log_level == "warning"
    assert quiet(chosen).telemetry.log_level == "info"


class DeadPostgres(EmbeddedPostgres):
    """A server that dies as soon as it was started."""

    starts = 0

    def start(self, data_dir: Path) -> str:
        """Start, and be dead at the next look."""
        self.starts += 1
        return str(data_dir)


def test_a_server_that_dies_again_at_once_is_left_alone(tmp_path: Path) -> None:
    """One restart, one line for each of the two deaths at most, and then the end with exit 5."""
    said: list[str] = []
    ended: list[bool] = []
    postgres = DeadPostgres()
    guard = Guard(postgres, tmp_path, tell=said.append, end=lambda: ended.append(True))

    for _ in range(3):
        guard.look()
        guard.finish()

    assert postgres.starts == 1
    assert ended == [True]
    assert isinstance(guard.failure, UnreachableError)
    assert "postgres.log" in str(guard.failure)
    assert [text for text in said if "has died" in text] == said[:1]
