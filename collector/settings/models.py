"""Every setting: one model per stage, each field with unit, default and reason.

Precedence is flag > environment > file > default; see ``load``. Nothing is corrected silently: a
value out of bounds stops the start and names the setting, its bound and the value.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from collector.settings.admission import AuthSettings, TlsSettings
from collector.settings.dsn import check_dsn
from collector.settings.reading import ApiSettings, RedisSettings, TailSettings
from collector.settings.stage import Origins, Secret, Stage
from collector.settings.units import Bytes, Days, Hours, LeafHours, Seconds, WholeHours


def is_loopback(host: str) -> bool:
    """Return whether a listener at ``host`` can be reached from this machine alone.

    A name other than ``localhost`` is not looked up: what it means may change.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class ReceiveSettings(Stage):
    """Listeners and what one sender may use of us."""

    grpc_host: str = Field(default="127.0.0.1", description="Address of the OTLP/gRPC listener.")
    grpc_port: int = Field(default=4317, ge=0, le=65535, description="OTLP's registered gRPC port.")
    http_host: str = Field(default="127.0.0.1", description="Address of the OTLP/HTTP listener.")
    http_port: int = Field(default=4318, ge=0, le=65535, description="OTLP's registered HTTP port.")
    cors_origins: Origins = Field(
        default=[],
        description="Web pages that may send, as exact origins: https://shop.example.com",
    )
    insecure: bool = Field(
        default=False,
        description="Allow listeners beyond loopback without TLS, or without keys and client "
        "certificates (promise 9). Switches nothing off.",
    )
    request_bytes_max: Bytes = Field(
        default=64 * 2**20,
        ge=1024,
        le=512 * 2**20,
        description="Body before and after decompression.",
    )
    json_bytes_max: Bytes = Field(
        default=8 * 2**20,
        ge=1024,
        le=64 * 2**20,
        description="The same for OTLP/JSON, which takes ten to thirty times its size while it is parsed.",
    )
    bodies_bytes_max: Bytes = Field(
        default=2**30,
        ge=1024,
        description="Bodies on their way, per worker. One of unknown size counts as the largest it "
        "may be until it is here: over gRPC request_bytes_max, so 16 at once. Fewer keep slow senders waiting.",
    )
    slots: int = Field(
        default=16,
        ge=1,
        le=4096,
        description="Bodies read and converted at once per worker; bounds memory before the queue.",
    )
    slots_per_connection: int = Field(
        default=8,
        ge=1,
        le=4096,
        description="Of these, how many one connection may hold while its bodies arrive.",
    )
    slot_wait_s_max: Seconds = Field(
        default=2.0, gt=0, le=60, description="Wait for a slot before the request is refused."
    )
    read_s_max: Seconds = Field(
        default=10.0, gt=0, le=300, description="Time for one body to arrive."
    )
    hold_s_default: Seconds = Field(
        default=4.5,
        gt=0,
        le=30,
        description="Hold when the sender names no deadline; SDKs wait 10 s.",
    )
    hold_s_max: Seconds = Field(default=30.0, gt=0, le=300, description="Longest hold.")
    hold_share: float = Field(
        default=0.85, gt=0, lt=1, description="Part of the sender's deadline that we may use."
    )
    connection_age_s_max: Seconds = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="Connections move to another worker after about this time.",
    )
    header_bytes_max: Bytes = Field(
        default=16 * 1024, ge=1024, le=2**20, description="Request headers of one call."
    )


class ConvertSettings(Stage):
    """What one request may cost to decode."""

    items_max: int = Field(default=200_000, ge=1, description="Items in one request.")
    slice_items: int = Field(
        default=2_000, ge=1, description="Items between two turns of the event loop."
    )
    item_bytes_max: Bytes = Field(
        default=4 * 2**20,
        ge=1024,
        description="One span, data point or log record, and so each of its texts; beyond: "
        "quarantined, since converting one is never divided and its row may take 25 times as much "
        "memory. Also what is around it: resource, scope, metric.",
    )
    parts_max: int = Field(
        default=10_000,
        ge=1,
        description="Attributes, events, links or buckets of one item; fields at all its depths: 7 times "
        "as many, which take up to 75 ms in one turn of the loop. Beyond: quarantined. Also around it.",
    )
    memo_bytes_max: Bytes = Field(
        default=16 * 2**20,
        ge=2**16,
        description="Memory for remembered attributes, resources and scopes.",
    )


class IngestSettings(Stage):
    """Queues and flushers; budgets are per daemon and divided among its workers."""

    queue_bytes_max: Bytes = Field(
        default=192 * 2**20,
        ge=2**20,
        description="Bytes that are converted, wait or are in flight, all signals together. "
        "An eighth is kept for requests of up to 256 KiB.",
    )
    queue_items_max: int = Field(
        default=400_000, ge=1000, description="Items that wait or are in flight, per signal."
    )
    flushers: int = Field(default=2, ge=1, le=16, description="Concurrent transactions per signal.")
    flush_rows_max: int = Field(default=20_000, ge=1, description="Rows in one group commit.")
    flush_bytes_max: Bytes = Field(
        default=16 * 2**20, ge=1024, description="Bytes in one group commit."
    )
    series_new_per_minute_max: int = Field(
        default=1_000_000,
        ge=0,
        description="Series that may be new in a minute; then requests with more are told to try "
        "again, others go on. 500 pods of 2 000 series may start at once. 0: no limit.",
    )
    gather_s: Seconds = Field(
        default=0.025,
        ge=0,
        le=1,
        description="A small group waits this long for company when five or more requests are here.",
    )
    ledger: bool = Field(
        default=True, description="Store a repeated request once; off only to measure."
    )
    ledger_window_h: Hours = Field(
        default=24.0, gt=0, le=3_650 * 24, description="A retry within this is recognised."
    )
    drain_s_max: Seconds = Field(
        default=20.0, gt=0, description="Time to commit what waits at a stop."
    )


class DatabaseSettings(Stage):
    """PostgreSQL. ``dsn`` wins over the single fields."""

    dsn: Secret | None = Field(
        default=None, description="postgresql://user:password@host:port/name"
    )
    host: str | None = Field(default=None, description="Host or socket folder.")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port; PostgreSQL's own is 5432."
    )
    name: str | None = Field(default=None, description="Database.")
    user: str | None = Field(default=None, description="Role to log in as.")
    password: Secret | None = Field(default=None, description="Its password.")
    ssl_mode: (
        Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None
    ) = Field(default=None, description="As in libpq.")
    app_name: str = Field(default="otlpg", description="application_name; the reaper looks for it.")
    connections_min: int = Field(default=2, ge=1, description="Connections kept open, per daemon.")
    connections_max: int = Field(
        default=44,
        ge=1,
        description="Connections at most, per daemon; eight a worker are enough, and those of the API.",
    )
    connect_s_max: Seconds = Field(
        default=5.0, gt=0, description="Time for one connection attempt."
    )
    lock_s_max: Seconds = Field(default=1.0, ge=0.001, description="lock_timeout of a flush.")
    statement_s_max: Seconds = Field(
        default=10.0, ge=0.001, le=3_600, description="statement_timeout of a flush."
    )
    idle_in_transaction_s_max: Seconds = Field(
        default=3.0,
        ge=0.001,
        description="Below the hold, so that a frozen peer cannot outlast it.",
    )
    reap_after_s: Seconds = Field(
        default=15.0,
        gt=0,
        description="Own backends that hang in a transaction this long are ended.",
    )

    @field_validator("dsn")
    @classmethod
    def _dsn_is_of_postgresql(cls, dsn: SecretStr | None) -> SecretStr | None:
        return check_dsn(dsn)


class PartitionSettings(Stage):
    """Leaf lengths and how far they reach."""

    spans_leaf_h: LeafHours = Field(default=24, description="Hours in a leaf of trace_spans.")
    points_leaf_h: LeafHours = Field(
        default=6, description="Hours in a leaf of metric_data_points."
    )
    logs_leaf_h: LeafHours = Field(default=24, description="Hours in a leaf of logs.")
    retention_days: Days = Field(
        default=30,
        ge=1,
        le=3650,
        description="Items older than this are stored under the receive time.",
    )
    ahead_h: WholeHours = Field(
        default=48, ge=25, le=24 * 366, description="Leaves are made this far ahead of the clock."
    )

    @property
    def retention_s(self) -> int:
        """Return ``retention_days`` in seconds."""
        return self.retention_days * 86_400


class TelemetrySettings(Stage):
    """What otlpg tells about itself."""

    host: str = Field(default="127.0.0.1", description="Address of /metrics and /health.")
    port: int = Field(default=9095, ge=0, le=65535, description="Port of /metrics and /health.")
    insecure: bool = Field(
        default=False,
        description="As receive.insecure, for this listener alone: kubelet's probes come in plain "
        "HTTP from beyond loopback. /metrics needs a key all the same when auth.keys is on.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, JSON elsewhere."
    )


class Settings(Stage):
    """All settings of one daemon."""

    workers: int = Field(default=1, ge=1, le=64, description="Processes that share the port.")
    data_dir: Path | None = Field(
        default=None, description="Folder of `otlpg dev`; default: the user's data folder."
    )
    receive: ReceiveSettings = ReceiveSettings()
    tls: TlsSettings = TlsSettings()
    auth: AuthSettings = AuthSettings()
    convert: ConvertSettings = ConvertSettings()
    ingest: IngestSettings = IngestSettings()
    database: DatabaseSettings = DatabaseSettings()
    partitions: PartitionSettings = PartitionSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    redis: RedisSettings = RedisSettings()
    tail: TailSettings = TailSettings()
    api: ApiSettings = ApiSettings()

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """Refuse settings that are each in bounds and still cannot work together.

        Raises:
            ValueError: names the settings, their values and the value that is needed.
        """
        self._check_order()
        needed = self.connections_needed()
        if self.database.connections_max < needed:
            keys = " and, for the keys, 1 of each and of their supervisor" if self.auth.keys else ""
            api = (
                f", and api.connections_max={self.api.connections_max}" if self.api.enabled else ""
            )
            raise ValueError(
                f"database.connections_max (DB_MAX_CONNECTIONS) is {self.database.connections_max}, but at least "
                f"{needed} are needed: for each of workers={self.workers}, 3 signals x "
                f"ingest.flushers={self.ingest.flushers}, and 2 for housekeeping{keys}{api}"
            )
        self._check_listeners()
        return self

    def _check_listeners(self) -> None:
        """Refuse a listener that anybody beyond this machine could use or overhear (promise 9)."""
        receive, telemetry = self.receive, self.telemetry
        secret = [] if self.tls.on else ["TLS (tls.certificate_file and tls.key_file)"]
        known = self.auth.keys or self.tls.client_ca_file is not None
        otlp = [
            *secret,
            *([] if known else ["keys (auth.keys) or client certificates (tls.client_ca_file)"]),
        ]
        about = [
            *([] if self.tls.telemetry else ["TLS (tls.telemetry)"]),
            *([] if self.auth.keys else ["keys (auth.keys)"]),
        ]
        for name, host, missing, allowed, word in (
            ("receive.grpc_host", receive.grpc_host, otlp, receive.insecure, ""),
            ("receive.http_host", receive.http_host, otlp, receive.insecure, ""),
            (
                "api.host", self.api.host if self.api.enabled else "127.0.0.1", otlp,
                receive.insecure, "",
            ),
            (
                "telemetry.host", telemetry.host, about, receive.insecure or telemetry.insecure,
                ", or telemetry.insecure=true for this listener alone,",
            ),
        ):  # fmt: skip
            if missing and not allowed and not is_loopback(host):
                raise ValueError(
                    f"{name} is {host!r}, beyond loopback, where anybody could send or read; it "
                    f"lacks {' and '.join(missing)}. Give what is missing, or say --insecure "
                    f"(receive.insecure=true){word} to allow that"
                )

    def _check_order(self) -> None:
        """Refuse a pair of settings of which the first must not be the larger."""
        database, receive, ingest = self.database, self.receive, self.ingest
        for low_name, low, high_name, high in (
            ("receive.request_bytes_max", receive.request_bytes_max,
             "receive.bodies_bytes_max", receive.bodies_bytes_max),
            ("receive.json_bytes_max", receive.json_bytes_max,
             "receive.request_bytes_max", receive.request_bytes_max),
            ("database.connections_min", database.connections_min,
             "database.connections_max", database.connections_max),
            ("receive.hold_s_default", receive.hold_s_default,
             "receive.hold_s_max", receive.hold_s_max),
            ("database.lock_s_max", database.lock_s_max,
             "database.statement_s_max", database.statement_s_max),
            ("database.idle_in_transaction_s_max", database.idle_in_transaction_s_max,
             "receive.hold_s_default", receive.hold_s_default),
            ("database.idle_in_transaction_s_max", database.idle_in_transaction_s_max,
             "database.reap_after_s", database.reap_after_s),
            ("auth.refresh_s", self.auth.refresh_s, "auth.stale_s_max", self.auth.stale_s_max),
            ("ingest.flush_rows_max", ingest.flush_rows_max,
             "ingest.queue_items_max", ingest.queue_items_max),
            ("ingest.flush_bytes_max", ingest.flush_bytes_max,
             "ingest.queue_bytes_max", ingest.queue_bytes_max),
        ):  # fmt: skip
            if low > high:
                raise ValueError(f"{low_name} is {low:g}, above {high_name}, which is {high:g}")

    def reading_database(self) -> DatabaseSettings:
        """Return how whoever reads reaches PostgreSQL: by ``api.dsn``, or as the daemon does."""
        update: dict[str, object] = {
            "connections_min": 1,
            "connections_max": self.api.connections_max,
        }
        if self.api.dsn is not None:
            others = ("host", "port", "name", "user", "password", "ssl_mode")
            update |= {**dict.fromkeys(others), "dsn": self.api.dsn}
        return self.database.model_copy(update=update)

    def connections_needed(self) -> int:
        """Return how many connections the daemon may hold at once.

        Flushers and housekeeping of all workers and, with keys, one more of each and one of their
        supervisor, which reads the keys for ``/metrics``; and those of the API.
        """
        housekeeping = 3 if self.auth.keys else 2
        return self.workers * (3 * self.ingest.flushers + housekeeping) + self.connections_beside()

    def connections_beside(self) -> int:
        """Return how many of the daemon's connections are not its workers'."""
        return int(self.auth.keys) + (self.api.connections_max if self.api.enabled else 0)
