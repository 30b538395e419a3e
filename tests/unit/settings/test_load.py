"""settings.load: precedence, aliases, unknown keys, bounds, and secrets that never show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from collector.errors import SettingsError
from collector.settings import Settings
from collector.settings.load import load as load_settings
from collector.settings.load import load_with_origins
from collector.settings.names import FIELDS, allowed

SECRET = "hunter2-do-not-show"  # not one of anybody's


def load(
    environ: dict[str, str] | None = None,
    flags: dict[str, Any] | None = None,
    config: Path | None = None,
) -> Settings:
    """Load settings from what the test gives and from nothing else."""
    return load_settings(config=config, flags=flags or {}, environ=environ or {})


def value_at(loaded: Settings, name: str) -> Any:
    """Return a setting by its dotted name, a secret in clear."""
    value: Any = loaded
    for part in name.split("."):
        value = getattr(value, part)
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def file(folder: Path, text: str, name: str = "otlpg.yaml") -> Path:
    """Write a settings file and return its path."""
    path = folder / name
    path.write_text(text)
    return path


def test_nothing_given_is_all_defaults() -> None:
    """Without flags, environment and file every setting has its default."""
    assert load() == Settings()


# -- precedence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("flag environment file", 1001),
        ("flag environment", 1001),
        ("flag file", 1001),
        ("environment file", 1002),
        ("file", 1003),
        ("", 4317),
    ],
)
def test_flag_beats_environment_beats_file_beats_default(
    given: str, expected: int, tmp_path: Path
) -> None:
    """The strongest origin that gives a value wins."""
    loaded = load(
        flags={"receive.grpc_port": 1001} if "flag" in given else {},
        environ={"OTLPG_RECEIVE__GRPC_PORT": "1002"} if "environment" in given else {},
        config=file(tmp_path, "receive: {grpc_port: 1003}") if "file" in given else None,
    )

    assert loaded.receive.grpc_port == expected


DATABASE_NAMES = [
    ("OTLPG_DATABASE__HOST", "DB_HOST"),
    ("OTLPG_DATABASE__HOST", "PGHOST"),
    ("DB_HOST", "PGHOST"),
]


@pytest.mark.parametrize(("stronger", "weaker"), DATABASE_NAMES)
def test_our_own_name_beats_db_beats_pg(stronger: str, weaker: str) -> None:
    """Inside the environment OTLPG_ comes before DB_ and DB_ before PG."""
    assert load({stronger: "a", weaker: "b"}).database.host == "a"


def test_origins_in_different_layers_are_merged() -> None:
    """One setting of a group in a stronger layer leaves the rest of the group alone."""
    loaded = load({"DB_HOST": "db", "PGUSER": "app", "OTLPG_DATABASE__NAME": "otel"})

    assert (loaded.database.host, loaded.database.user, loaded.database.name) == (
        "db",
        "app",
        "otel",
    )


def test_an_option_that_was_not_given_hides_nothing() -> None:
    """None as a flag's value is the same as no flag."""
    loaded = load({"OTLPG_WORKERS": "2"}, flags={"workers": None})

    assert loaded.workers == 2


@pytest.mark.parametrize(
    ("environ", "dsn"),
    [
        ({"DATABASE_URL": "postgresql://u:p@h:1/d"}, "postgresql://u:p@h:1/d"),
        (
            {"OTLPG_DATABASE__DSN": "postgresql://own/d", "DATABASE_URL": "postgresql://url/d"},
            "postgresql://own/d",
        ),
        (
            {"DATABASE_URL": "postgresql://u@h/d", "DB_HOST": "x", "PGPASSWORD": "a@b"},
            "postgresql://u:a%40b@h/d",
        ),
        (
            {"DATABASE_URL": "postgresql://u:p@h:1/d", "OTLPG_DATABASE__HOST": "x"},
            "postgresql://u:p@x:1/d",
        ),
    ],
    ids=["alone", "own name first", "weaker fills", "stronger overrides"],
)
def test_url_and_single_fields_become_one_address(environ: dict[str, str], dsn: str) -> None:
    """A URL beats weaker fields, which fill its gaps; stronger fields are written into it."""
    loaded = load(environ)

    assert value_at(loaded, "database.dsn") == dsn
    assert loaded.database.host is None
    assert loaded.database.password is None


def test_environment_field_beats_url_in_file(tmp_path: Path) -> None:
    """DB_HOST is not ignored because a file holds a dsn: environment > file."""
    config = file(tmp_path, "database: {dsn: 'postgresql://u:p@filehost/d'}")

    loaded = load({"DB_HOST": "envhost"}, config=config)

    assert value_at(loaded, "database.dsn") == "postgresql://u:p@envhost/d"


# -- every name ----------------------------------------------------------------------------------

NAMES = [
    ("DATABASE_URL", "postgres://h/d", "database.dsn", "postgres://h/d"),
    ("DB_HOST", "db", "database.host", "db"),
    ("DB_PORT", "6543", "database.port", 6543),
    ("DB_NAME", "otel", "database.name", "otel"),
    ("DB_USER", "app", "database.user", "app"),
    ("DB_PASSWORD", "p", "database.password", "p"),
    ("DB_SSL_MODE", "verify-full", "database.ssl_mode", "verify-full"),
    ("DB_APP_NAME", "telemetry", "database.app_name", "telemetry"),
    ("DB_MAX_CONNECTIONS", "40", "database.connections_max", 40),
    ("DB_MIN_CONNECTIONS", "4", "database.connections_min", 4),
    ("PGHOST", "/run/postgresql", "database.host", "/run/postgresql"),
    ("PGPORT", "6543", "database.port", 6543),
    ("PGDATABASE", "otel", "database.name", "otel"),
    ("PGUSER", "app", "database.user", "app"),
    ("PGPASSWORD", "p", "database.password", "p"),
    ("PGSSLMODE", "require", "database.ssl_mode", "require"),
    ("PGAPPNAME", "telemetry", "database.app_name", "telemetry"),
    ("REDIS_URL", "redis://r:6379/0", "redis.url", "redis://r:6379/0"),
    ("REDIS_POOL_SIZE", "5", "redis.pool_size", 5),
    ("REDIS_TIMEOUT", "250ms", "redis.timeout_s", 0.25),
    ("OTLPG_INGEST__QUEUE_BYTES_MAX", "256MiB", "ingest.queue_bytes_max", 256 * 2**20),
    ("OTLPG_INGEST__DRAIN_S_MAX", "1min", "ingest.drain_s_max", 60.0),
    ("OTLPG_PARTITIONS__POINTS_LEAF_H", "24h", "partitions.points_leaf_h", 24),
    ("OTLPG_PARTITIONS__RETENTION_DAYS", "7d", "partitions.retention_days", 7),
    ("OTLPG_INGEST__LEDGER", "off", "ingest.ledger", False),
    ("OTLPG_WORKERS", "2", "workers", 2),
]


@pytest.mark.parametrize(("name", "text", "setting", "value"), NAMES, ids=[n[0] for n in NAMES])
def test_environment_name_sets_its_setting(
    name: str, text: str, setting: str, value: object
) -> None:
    """Each name that people have reaches the setting it means."""
    assert value_at(load({name: text}), setting) == value


def test_empty_variable_counts_as_not_set() -> None:
    """What Compose leaves behind for a variable without a value changes nothing."""
    assert load({"DATABASE_URL": "", "DB_PORT": "", "OTLPG_WORKERS": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTLPG_SERVICE_HOST", "10.0.0.7"),
        ("OTLPG_SERVICE_PORT", "4317"),
        ("OTLPG_SERVICE_PORT_OTLP_GRPC", "4317"),
        ("OTLPG_PORT", "tcp://10.0.0.7:4317"),
        ("OTLPG_PORT_4317_TCP", "tcp://10.0.0.7:4317"),
        ("OTLPG_PORT_4317_TCP_PROTO", "tcp"),
        ("OTLPG_PORT_4317_TCP_PORT", "4317"),
        ("OTLPG_PORT_4317_TCP_ADDR", "10.0.0.7"),
        ("OTLPG_HEADLESS_SERVICE_HOST", "10.0.0.8"),
        ("OTLPG_HEADLESS_PORT", "tcp://10.0.0.8:4317"),
        ("DB_PORT", "tcp://10.0.0.9:5432"),
        ("DB_SERVICE_HOST", "10.0.0.9"),
        ("OTLPG_TEST_PG_BIN", "/usr/lib/postgresql/15/bin"),
        ("PATH", "/bin"),
    ],
)
def test_what_kubernetes_puts_in_is_no_setting(name: str, value: str) -> None:
    """The variables of a Service called otlpg or db neither fail the start nor set anything."""
    assert load({name: value}) == Settings()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("OTLPG_INGEST__FLUSHES", "OTLPG_INGEST__FLUSHERS"),
        ("OTLPG_INGEST_FLUSHERS", "OTLPG_INGEST__FLUSHERS"),
        ("OTLPG_FLUSHERS", "OTLPG_INGEST__FLUSHERS"),
        ("OTLPG_DATABASE_URL", "DATABASE_URL"),
        ("OTLPG_DB_HOST", "DB_HOST"),
        ("OTLPG_CONFG", "OTLPG_CONFIG"),
        ("otlpg_workers", "OTLPG_WORKERS"),
        ("OTLPG_INGEST", "OTLPG_INGEST__QUEUE_BYTES_MAX"),
    ],
)
def test_unknown_environment_name_is_an_error_with_a_hint(name: str, hint: str) -> None:
    """A misspelt name stops the start and names the setting that was meant, not the value."""
    with pytest.raises(SettingsError) as caught:
        load({name: SECRET})

    assert str(caught.value).startswith(name)
    assert hint in str(caught.value).removeprefix(name)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["OTLPG_URL", "OTLPG_API_KEY"])
def test_what_clients_of_the_api_read_is_no_setting(name: str) -> None:
    """Whoever has set it for `otlpg tail` can start a daemon all the same."""
    assert load({name: "x"}) == Settings()


def test_port_of_a_person_is_not_taken_for_kubernetes() -> None:
    """OTLPG_PORT=4317 is a wrong name, not noise: it must not be ignored in silence."""
    with pytest.raises(SettingsError, match="OTLPG_PORT in the environment is no setting"):
        load({"OTLPG_PORT": "4317"})


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "workers: 2\ningest:\n  queue_bytes_max: 256MiB\n  flushers: 3\n"),
        ("a.yml", "{workers: 2, ingest: {queue_bytes_max: 268435456, flushers: 3}}"),
        ("a.toml", 'workers = 2\n[ingest]\nqueue_bytes_max = "256MiB"\nflushers = 3\n'),
    ],
)
def test_yaml_and_toml_say_the_same(name: str, text: str, tmp_path: Path) -> None:
    """Both formats hold sections, numbers and sizes."""
    loaded = load({"DB_MAX_CONNECTIONS": "30"}, config=file(tmp_path, text, name))

    assert loaded.workers == 2
    assert loaded.ingest.queue_bytes_max == 256 * 2**20
    assert loaded.ingest.flushers == 3


def test_otlpg_config_names_the_file_and_the_flag_wins(tmp_path: Path) -> None:
    """The file of --config is read instead of the one of OTLPG_CONFIG."""
    first = file(tmp_path, "receive: {grpc_port: 1}", "first.yaml")
    second = file(tmp_path, "receive: {grpc_port: 2}", "second.yaml")

    assert load({"OTLPG_CONFIG": str(first)}).receive.grpc_port == 1
    assert load({"OTLPG_CONFIG": str(first)}, config=second).receive.grpc_port == 2


@pytest.mark.parametrize("text", ["", "# nothing\n", "ingest:\n", "database: {host: null}\n"])
def test_empty_file_or_section_gives_nothing(text: str, tmp_path: Path) -> None:
    """A file whose lines are commented out is a file without values."""
    assert load(config=file(tmp_path, text)) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.yaml", "ingest: {flushes: 3}", "did you mean ingest.flushers"),
        ("a.yaml", "wokers: 3", "did you mean workers"),
        ("a.yaml", "ingest: 3", "must be a group of settings"),
        ("a.yaml", "- workers", "the file in .* must be a group of settings"),
        ("a.yaml", f"a: [{SECRET}\n b: }}", r"is not valid YAML \(line 2, column \d+\)"),
        ("a.yaml", "workers: 1\nworkers: 2", "line 2, column 1.; workers is given twice"),
        ("a.yaml", "ingest: {ledger: on}\ningest: {}", "line 2, .*; ingest is given twice"),
        ("a.yaml", f"database: {{{SECRET}: 1, {SECRET}: 2}}", "line 1, .*; a key is given twice"),
        ("a.yaml", "? [a]\n: 1\n? [a]\n: 2", "is not valid YAML .line 3"),
        ("a.yaml", "workers: 1\nworkers: {a: 1, a: 1}", "line 2, column 1.; workers is given"),
        ("a.yaml", "receive.slots: 3\nreceive: {slots: 4}", "receive.slots in .* is given twice"),
        ("a.yaml", "a: " + "[" * 5000, "is not valid YAML"),
        ("a.toml", "a = " + "[" * 5000, "is not valid TOML"),
        ("a.toml", f'password = "{SECRET}', r"is not valid TOML"),
        ("a.toml", "workers = 1\nworkers = 2", r"is not valid TOML"),
        ("a.json", "{}", "ends in .yaml, .yml or .toml"),
        ("a.yaml", "ingest: {flushers: 99}", r"ingest.flushers in .*a.yaml .*16, but is 99"),
    ],
)
def test_wrong_file_is_an_error_that_names_it(
    name: str, text: str, complaint: str, tmp_path: Path
) -> None:
    """Unknown keys, wrong shapes and broken syntax name the file and quote none of it."""
    with pytest.raises(SettingsError, match=complaint) as caught:
        load(config=file(tmp_path, text, name))

    assert str(tmp_path / name) in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["a.yaml", "a.toml"])
def test_a_byte_order_mark_is_no_part_of_the_file(name: str, tmp_path: Path) -> None:
    """Editors of Windows write one, and nobody can see it."""
    text = {"a.yaml": "workers: 2", "a.toml": "workers = 2"}[name]
    config = tmp_path / name
    config.write_bytes(b"\xef\xbb\xbf" + text.encode())

    assert load(config=config).workers == 2


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    """A settings file that was named and does not exist stops the start."""
    with pytest.raises(SettingsError, match="No such file"):
        load(config=tmp_path / "none.yaml")


# -- bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "flags", "words"),
    [
        ({"OTLPG_INGEST__FLUSHERS": "99"}, {}, ["OTLPG_INGEST__FLUSHERS", "16", "'99'"]),
        ({"DB_PORT": "0"}, {}, ["DB_PORT", "database.port", "1", "'0'"]),
        ({"OTLPG_TELEMETRY__PORT": "tcp://h:1"}, {}, ["OTLPG_TELEMETRY__PORT", "integer"]),
        ({}, {"receive.grpc_port": 70_000}, ["--grpc-port", "65535", "70000"]),
        ({"OTLPG_WORKERS": "many"}, {}, ["OTLPG_WORKERS", "integer", "'many'"]),
        ({"OTLPG_INGEST__QUEUE_BYTES_MAX": "12M"}, {}, ["256MiB", "'12M'"]),
        ({"OTLPG_INGEST__QUEUE_BYTES_MAX": "0.3B"}, {}, ["integer", "'0.3B'"]),
        ({"REDIS_TIMEOUT": "soon"}, {}, ["REDIS_TIMEOUT", "500ms", "'soon'"]),
        ({"REDIS_TIMEOUT": "nan"}, {}, ["REDIS_TIMEOUT", "'nan'"]),
        ({"OTLPG_PARTITIONS__LOGS_LEAF_H": "2h"}, {}, ["1, 6 or 24", "'2h'"]),
        ({"OTLPG_TELEMETRY__LOG_LEVEL": "loud"}, {}, ["'debug'", "'loud'"]),
        ({"OTLPG_WORKERS": "x" * 500}, {}, ["OTLPG_WORKERS", "..."]),
        ({"OTLPG_RECEIVE__CONNECTION_AGE_S_MAX": "30d"}, {}, ["86400", "'30d'"]),
        ({"OTLPG_RECEIVE__HEADER_BYTES_MAX": "4GiB"}, {}, ["1048576", "'4GiB'"]),
        ({"OTLPG_INGEST__LEDGER_WINDOW_H": "1000000"}, {}, ["87600", "'1000000'"]),
        ({"OTLPG_DATABASE__LOCK_S_MAX": "0.0001"}, {}, ["0.001", "'0.0001'"]),
        ({"OTLPG_DATABASE__STATEMENT_S_MAX": "60d"}, {}, ["3600", "'60d'"]),
        ({"OTLPG_PARTITIONS__AHEAD_H": "1000000"}, {}, ["8784", "'1000000'"]),
    ],
)
def test_value_out_of_bounds_names_setting_bound_and_value(
    environ: dict[str, str], flags: dict[str, Any], words: list[str]
) -> None:
    """The text is short and has all that is needed to put it right."""
    with pytest.raises(SettingsError) as caught:
        load(environ, flags)

    text = str(caught.value)
    assert [word for word in words if word not in text] == []
    assert len(text) < 300


NUMBERS = [
    name
    for name, field in FIELDS.items()
    if re.search(r"\b(int|float|1, 6)", str(field.annotation))
]


@pytest.mark.parametrize("name", NUMBERS)
def test_yes_is_no_number(name: str, tmp_path: Path) -> None:
    """YAML makes true of it, and Python would count with that as with 1."""
    section, _, leaf = name.rpartition(".")
    files = [
        file(tmp_path, f"{section}: {{{leaf}: yes}}" if section else f"{leaf}: yes"),
        file(tmp_path, f"[{section}]\n{leaf} = true" if section else f"{leaf} = true", "a.toml"),
    ]

    for config in files:
        with pytest.raises(SettingsError) as caught:
            load(config=config)
        assert str(caught.value) == (
            f"{name} in {config} must be a number ({allowed(FIELDS[name])}), but is True"
        )


def test_the_bounds_of_a_number_are_told_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    """Whoever wrote ``1e3`` learns in one go what may stand there."""
    for text in ("1e3", "[1]", ".nan", "many"):
        with pytest.raises(SettingsError, match=r"workers in .* \(>= 1, <= 64\), but is "):
            load(config=file(tmp_path, f"workers: {text}"))


@pytest.mark.parametrize("text", ["2", "2.0", '"2"', '" 2 "'])
def test_a_whole_number_in_any_spelling_is_taken(text: str, tmp_path: Path) -> None:
    """Nothing is lost, so nothing is refused."""
    assert load(config=file(tmp_path, f"workers: {text}")).workers == 2


@pytest.mark.parametrize("text", ["1:30", "0x2", "0b1"])
def test_only_decimal_numbers_are_numbers(text: str, tmp_path: Path) -> None:
    """YAML 1.1 would read 1:30 as 90, and nobody who writes 1:30 h means 90 h."""
    with pytest.raises(SettingsError, match=f"24h .*, but is '{text}'"):
        load(config=file(tmp_path, f"ingest: {{ledger_window_h: {text}}}"))


def test_a_leading_zero_does_not_change_a_number(tmp_path: Path) -> None:
    """YAML 1.1 would read 010 as eight; in the environment it is ten."""
    assert load(config=file(tmp_path, "redis: {pool_size: 010}")).redis.pool_size == 10


def test_further_wrong_settings_are_named_on_a_second_line() -> None:
    """Somebody with three wrong settings learns of all three at once."""
    with pytest.raises(SettingsError) as caught:
        load({"OTLPG_WORKERS": "0", "DB_PORT": "0", "REDIS_POOL_SIZE": "0"})

    first, second = str(caught.value).split("\n")
    assert first.startswith("OTLPG_WORKERS")
    assert second == "also wrong: DB_PORT (database.port), REDIS_POOL_SIZE (redis.pool_size)"


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABASE_URL": f"mysql://u:{SECRET}@h/d"},
        {"DATABASE_URL": f"postgresql://u:{SECRET}#x@h/d"},
        {"DATABASE_URL": f"postgresql://u:{SECRET}@h:port/d"},
        {"DATABASE_URL": f"postgresql://[u:{SECRET}@h/d"},
        {"DATABASE_URL": SECRET},
        {"REDIS_URL": f"http://:{SECRET}@h"},
        {"DB_PASSWORD": SECRET, "DB_PORT": "0"},
        {"OTLPG_DATABASE__PASWORD": SECRET},
    ],
)
def test_no_error_shows_a_secret(environ: dict[str, str]) -> None:
    """An error about a secret, or beside one, holds nothing of it; nor does its cause."""
    with pytest.raises(SettingsError) as caught:
        load(environ)

    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_settings_themselves_mask_their_secrets() -> None:
    """Neither repr nor JSON of the settings shows a secret; a log line cannot leak one."""
    loaded = load({"DB_PASSWORD": SECRET, "REDIS_URL": f"redis://:{SECRET}@r"})

    assert SECRET not in repr(loaded)
    assert SECRET not in loaded.model_dump_json()
    assert SECRET not in str(loaded.model_dump())


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"DB_MIN_CONNECTIONS": "45"}, "connections_min is 45, above .*connections_max.* 44"),
        ({"OTLPG_WORKERS": "6"}, "connections_max .*is 44, but at least 52 are needed"),
        ({"DB_MAX_CONNECTIONS": "11"}, "connections_max .*is 11, but at least 12 are needed.*api"),
        ({"OTLPG_RECEIVE__HOLD_S_DEFAULT": "20", "OTLPG_RECEIVE__HOLD_S_MAX": "10"}, "hold_s_max"),
        ({"OTLPG_RECEIVE__HOLD_S_DEFAULT": "2"}, "idle_in_transaction_s_max is 3, above"),
        ({"OTLPG_DATABASE__REAP_AFTER_S": "2"}, "reap_after_s, which is 2"),
        ({"OTLPG_DATABASE__LOCK_S_MAX": "11"}, "lock_s_max is 11, above"),
        ({"OTLPG_INGEST__FLUSH_BYTES_MAX": "1GiB"}, "flush_bytes_max is .*queue_bytes_max"),
        ({"OTLPG_INGEST__FLUSH_ROWS_MAX": "500000"}, "flush_rows_max is .*queue_items_max"),
        ({"OTLPG_RECEIVE__GRPC_HOST": "0.0.0.0"}, "grpc_host is '0.0.0.0'.*--insecure"),
        ({"OTLPG_TELEMETRY__HOST": "::"}, "telemetry.host is '::'.*--insecure"),
        (
            {"OTLPG_AUTH__REFRESH_S": "60", "OTLPG_AUTH__STALE_S_MAX": "30"},
            "stale_s_max, which is 30",
        ),
        ({"OTLPG_TLS__KEY_FILE": "k"}, "tls.certificate_file is missing"),
        ({"OTLPG_TLS__CERTIFICATE_FILE": "c"}, "tls.key_file is missing"),
        ({"OTLPG_TLS__CLIENT_CA_FILE": "a"}, "tls.client_ca_file has no effect"),
        ({"OTLPG_TLS__TELEMETRY": "true"}, "tls.telemetry has no effect"),
        (
            {
                "OTLPG_TLS__CERTIFICATE_FILE": "c",
                "OTLPG_TLS__KEY_FILE": "k",
                "OTLPG_TLS__CLIENT_NAMES": "shop",
            },
            "tls.client_names has no effect",
        ),
        (
            {"OTLPG_AUTH__KEYS": "true", "DB_MAX_CONNECTIONS": "13"},
            "at least 14 are needed.*for the keys",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    environ: dict[str, str], complaint: str
) -> None:
    """Each is in its own bounds; the error names both and the value that is needed."""
    with pytest.raises(SettingsError, match=complaint):
        load(environ)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"])
def test_loopback_needs_no_permission(host: str) -> None:
    """Promise 9 is about listeners that other machines reach."""
    assert load({"OTLPG_RECEIVE__GRPC_HOST": host}).receive.grpc_host == host


def test_insecure_in_as_many_words_opens_the_listener() -> None:
    """With --insecure any address is taken."""
    loaded = load({"OTLPG_RECEIVE__GRPC_HOST": "0.0.0.0"}, flags={"receive.insecure": True})

    assert loaded.receive.grpc_host == "0.0.0.0"


def test_origins_name_what_the_operator_wrote(tmp_path: Path) -> None:
    """Each value that is no default says where it came from."""
    config = file(tmp_path, "workers: 2")

    loaded = load_with_origins(
        config=config, flags={"receive.grpc_port": 1}, environ={"PGHOST": "h"}
    )

    assert loaded.origins == {
        "receive.grpc_port": "--grpc-port",
        "database.host": "PGHOST",
        "workers": f"workers in {config}",
    }
