"""What those who read and watch may use, beside ingest."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from collector.settings.dsn import check_dsn
from collector.settings.stage import Secret, Stage
from collector.settings.units import Bytes, Seconds


class RedisSettings(Stage):
    """Redis carries live tails; without a URL they are those of one daemon."""

    url: Secret | None = Field(default=None, description="redis://host:port/number")
    pool_size: int = Field(
        default=10, ge=4, description="Connections at most, per process and signal."
    )
    channel_prefix: str = Field(
        default="otlpg",
        pattern=r"[A-Za-z0-9_.:-]{1,64}",
        description="Begins the name of each channel; daemons with the same one share their tails.",
    )
    timeout_s: Seconds = Field(default=0.5, gt=0, description="Longest wait for Redis.")

    @field_validator("url")
    @classmethod
    def _url_is_of_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(
            ("redis://", "rediss://", "unix://")
        ):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return url


class TailSettings(Stage):
    """Live tails: what they may cost, and how many there may be."""

    enabled: bool = Field(
        default=True, description="Publish what is committed while somebody listens."
    )
    items_per_second_max: int = Field(
        default=500,
        ge=1,
        le=100_000,
        description="Of each signal, per worker. Of more, some are shown and the others counted; one "
        "shown costs a worker 4 us of CPU, and the API 3 and 0.4 for each tail, plus the sending.",
    )
    message_items_max: int = Field(
        default=500, ge=1, le=10_000, description="Of one flush; built in one turn of the loop."
    )
    message_bytes_max: Bytes = Field(
        default=2**20, ge=16 * 1024, le=16 * 2**20, description="The same in bytes."
    )
    backlog_bytes_max: Bytes = Field(
        default=8 * 2**20,
        ge=2**20,
        description="Messages that wait for Redis, per worker; the oldest go first.",
    )
    readers_max: int = Field(
        default=64, ge=1, le=10_000, description="Live tails at once, per daemon."
    )
    readers_per_client_max: int = Field(
        default=16,
        ge=1,
        description="Of these, of one key; without keys, of one address, which may be a proxy's.",
    )
    reader_bytes_max: Bytes = Field(
        default=2**20,
        ge=256 * 1024,
        description="Items that wait for a slow reader; the oldest go first.",
    )


class ApiSettings(Stage):
    """The read side: an HTTP server in a process of its own."""

    enabled: bool = Field(default=True, description="Run it.")
    host: str = Field(default="127.0.0.1", description="Address of the API.")
    port: int = Field(default=8003, ge=0, le=65535, description="Port of the API.")
    jaeger_grpc: bool = Field(
        default=True,
        description="Be a remote storage of Jaeger (jaeger.storage.v2, gRPC), at api.host and, for "
        "those who may read, on the port of OTLP/gRPC.",
    )
    jaeger_grpc_port: int = Field(
        default=17271, ge=0, le=65535, description="Its port: Jaeger's own for remote storages."
    )
    dsn: Secret | None = Field(
        default=None,
        description="The same PostgreSQL as a role that may read (otlpg_read), no replica of it; "
        "without it that of the daemon. Words as for database.dsn.",
    )
    connections_max: int = Field(
        default=4, ge=1, le=100, description="Of database.connections_max, for queries."
    )
    statement_s_max: Seconds = Field(
        default=10.0, ge=0.1, le=3_600, description="statement_timeout of a query."
    )
    cache_s: Seconds = Field(
        default=30.0,
        ge=0,
        le=3_600,
        description="Services, operations and names of metrics are told again for so long before they "
        "are looked up anew; in Redis if there is one. 0: never.",
    )

    @field_validator("dsn")
    @classmethod
    def _dsn_is_of_postgresql(cls, dsn: SecretStr | None) -> SecretStr | None:
        return check_dsn(dsn)
