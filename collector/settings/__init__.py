"""Every setting, and how flags, environment, file and defaults become one ``Settings``."""

from __future__ import annotations

from collector.settings.models import (
    ConvertSettings,
    DatabaseSettings,
    IngestSettings,
    PartitionSettings,
    ReceiveSettings,
    RedisSettings,
    Settings,
    Stage,
    TelemetrySettings,
)

__all__ = [
    "ConvertSettings",
    "DatabaseSettings",
    "IngestSettings",
    "PartitionSettings",
    "ReceiveSettings",
    "RedisSettings",
    "Settings",
    "Stage",
    "TelemetrySettings",
]
