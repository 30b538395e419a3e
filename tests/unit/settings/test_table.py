"""settings.table: no setting without an explanation."""

from __future__ import annotations

from collector.settings import Settings, Stage
from collector.settings.load import load
from collector.settings.table import describe, settings_table

BY_NAME = {setting.name: setting for setting in describe()}


def test_every_setting_is_described() -> None:
    """Each field of each stage is there, with a description and an environment name."""
    stages = (getattr(Settings(), name) for name in Settings.model_fields)
    fields = sum(len(stage.model_dump()) if isinstance(stage, Stage) else 1 for stage in stages)

    assert len(BY_NAME) == fields
    assert [s.name for s in BY_NAME.values() if not s.description or not s.environment] == []


def test_a_number_with_a_unit_in_its_name_has_that_unit() -> None:
    """``_bytes_max`` counts bytes and ``_s_max`` seconds, and both take texts such as 64MiB."""
    expected = {"_bytes_max": "bytes", "_s_max": "seconds", "_s": "seconds", "_h": "hours"}
    wrong = [
        setting.name
        for setting in BY_NAME.values()
        for ending, unit in expected.items()
        if setting.name.endswith(ending) and setting.unit != unit
    ]

    assert wrong == []


def test_rows_hold_names_default_bounds_and_secrecy() -> None:
    """What a document shows of one setting of each form."""
    size = BY_NAME["ingest.queue_bytes_max"]
    host = BY_NAME["database.host"]

    assert (size.default, size.bounds) == ("192MiB", ">= 1 048 576")
    assert host.aliases == ("DB_HOST", "PGHOST")
    assert BY_NAME["receive.grpc_port"].flag == "--grpc-port"
    assert {name for name, setting in BY_NAME.items() if setting.secret} == {
        "api.dsn",
        "database.dsn",
        "database.password",
        "redis.url",
    }


def test_every_default_can_be_written_as_it_is_shown() -> None:
    """A default copied from the document into the environment changes nothing."""
    environ = {s.environment: s.default for s in BY_NAME.values() if s.default}

    assert load(config=None, flags={}, environ=environ) == Settings()


def test_table_has_one_row_per_setting() -> None:
    """The table of README: a head of two lines, then every setting."""
    assert len(settings_table().splitlines()) == len(BY_NAME) + 2
