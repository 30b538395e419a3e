"""Every setting: one model per stage, each field with unit, default and reason.

Precedence is flag > environment > file > default; see ``load``. Nothing is corrected silently: a
value out of bounds stops the start and names the setting, its bound and the value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Stage(BaseModel):
    """What all stage models share: unknown keys are errors, and nothing changes after start."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReceiveSettings(Stage):
    """Listeners and what one sender may use of us."""

    grpc_host: str = Field(default="127.0.0.1", description="Address of the OTLP/gRPC listener.")
    grpc_port: int = Field(default=4317, ge=0, le=65535, description="OTLP's registered gRPC port.")
    insecure: bool = Field(
        default=False, description="Allow an anonymous listener beyond loopback (promise 9)."
    )
    request_bytes_max: int = Field(
        default=64 * 2**20,
        ge=1024,
        le=512 * 2**20,
        description="Body before and after decompression.",
    )
    slots: int = Field(
        default=16,
        ge=1,
        le=4096,
        description="Bodies read and converted at once per worker; bounds memory before the queue.",
    )
    slot_wait_s_max: float = Field(
        default=2.0, gt=0, le=60, description="Wait for a slot before the request is refused."
    )
    read_s_max: float = Field(
        default=10.0, gt=0, le=300, description="Time for one body to arrive."
    )
    hold_s_default: float = Field(
        default=4.5,
        gt=0,
        le=30,
        description="Hold when the sender names no deadline; SDKs wait 10 s.",
    )
    hold_s_max: float = Field(default=30.0, gt=0, le=300, description="Longest hold.")
    hold_share: float = Field(
        default=0.85, gt=0, lt=1, description="Part of the sender's deadline that we may use."
    )
    connection_age_s_max: float = Field(
        default=300.0, gt=0, description="Connections move to another worker after about this time."
    )
    header_bytes_max: int = Field(
        default=16 * 1024, ge=1024, description="Request headers of one call."
    )


class ConvertSettings(Stage):
    """What one request may cost to decode."""

    items_max: int = Field(default=200_000, ge=1, description="Items in one request.")
    slice_items: int = Field(
        default=2_000, ge=1, description="Items between two turns of the event loop."
    )
    parts_max: int = Field(
        default=10_000,
        ge=1,
        description="Attributes, events or links of one item; beyond: quarantined.",
    )
    memo_bytes_max: int = Field(
        default=16 * 2**20,
        ge=2**16,
        description="Memory for remembered attributes, resources and scopes.",
    )


class IngestSettings(Stage):
    """Queues and flushers; budgets are per daemon and divided among its workers."""

    queue_bytes_max: int = Field(
        default=192 * 2**20,
        ge=2**20,
        description="Converted bytes that wait or are in flight, all signals together.",
    )
    queue_items_max: int = Field(
        default=400_000, ge=1000, description="Items that wait or are in flight, per signal."
    )
    flushers: int = Field(default=2, ge=1, le=16, description="Concurrent transactions per signal.")
    flush_rows_max: int = Field(default=20_000, ge=1, description="Rows in one group commit.")
    flush_bytes_max: int = Field(
        default=16 * 2**20, ge=1024, description="Bytes in one group commit."
    )
    ledger: bool = Field(
        default=True, description="Store a repeated request once; off only to measure."
    )
    ledger_window_h: float = Field(
        default=24.0, gt=0, description="A retry within this is recognised."
    )
    drain_s_max: float = Field(
        default=20.0, gt=0, description="Time to commit what waits at a stop."
    )


class DatabaseSettings(Stage):
    """PostgreSQL. ``dsn`` wins over the single fields."""

    dsn: SecretStr | None = Field(
        default=None, description="postgresql://user:password@host:port/name"
    )
    host: str | None = Field(default=None, description="Host or socket folder.")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port; PostgreSQL's own is 5432."
    )
    name: str | None = Field(default=None, description="Database.")
    user: str | None = Field(default=None, description="Role to log in as.")
    password: SecretStr | None = Field(default=None, description="Its password.")
    ssl_mode: (
        Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None
    ) = Field(default=None, description="As in libpq.")
    app_name: str = Field(default="otlpg", description="application_name; the reaper looks for it.")
    connections_min: int = Field(default=2, ge=1, description="Connections kept open, per daemon.")
    connections_max: int = Field(default=20, ge=1, description="Connections at most, per daemon.")
    connect_s_max: float = Field(default=5.0, gt=0, description="Time for one connection attempt.")
    lock_s_max: float = Field(default=1.0, gt=0, description="lock_timeout of a flush.")
    statement_s_max: float = Field(default=10.0, gt=0, description="statement_timeout of a flush.")
    idle_in_transaction_s_max: float = Field(
        default=3.0, gt=0, description="Below the hold, so that a frozen peer cannot outlast it."
    )
    reap_after_s: float = Field(
        default=15.0,
        gt=0,
        description="Own backends that hang in a transaction this long are ended.",
    )


class PartitionSettings(Stage):
    """Leaf lengths and how far they reach."""

    spans_leaf_h: Literal[1, 6, 24] = Field(
        default=24, description="Hours in a leaf of trace_spans."
    )
    points_leaf_h: Literal[1, 6, 24] = Field(
        default=6, description="Hours in a leaf of metric_data_points."
    )
    logs_leaf_h: Literal[1, 6, 24] = Field(default=24, description="Hours in a leaf of logs.")
    retention_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Items older than this are stored under the receive time.",
    )
    ahead_h: int = Field(
        default=48, ge=25, description="Leaves are made this far ahead of the clock."
    )


class TelemetrySettings(Stage):
    """What otlpg tells about itself."""

    host: str = Field(default="127.0.0.1", description="Address of /metrics and /health.")
    port: int = Field(default=9095, ge=0, le=65535, description="Port of /metrics and /health.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, JSON elsewhere."
    )


class RedisSettings(Stage):
    """Redis carries live tails; without a URL they stay inside the process."""

    url: SecretStr | None = Field(default=None, description="redis://host:port/number")
    pool_size: int = Field(default=10, ge=1, description="Connections at most.")
    timeout_s: float = Field(default=0.5, gt=0, description="Longest wait for Redis.")


class Settings(Stage):
    """All settings of one daemon."""

    workers: int = Field(default=1, ge=1, le=64, description="Processes that share the port.")
    data_dir: Path | None = Field(
        default=None, description="Folder of `otlpg dev`; default: the user's data folder."
    )
    receive: ReceiveSettings = ReceiveSettings()
    convert: ConvertSettings = ConvertSettings()
    ingest: IngestSettings = IngestSettings()
    database: DatabaseSettings = DatabaseSettings()
    partitions: PartitionSettings = PartitionSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    redis: RedisSettings = RedisSettings()
