"""Every setting, and how flags, environment, file and defaults become one ``Settings``.

``models``, ``admission`` and ``reading`` hold the settings themselves, ``names`` what each is called where, ``layers`` where
values come from, ``load`` puts them together and ``table`` shows them all. A wrong setting stops
the start; nothing is corrected or ignored in silence.
"""

from __future__ import annotations

from collector.settings.admission import AuthSettings, TlsSettings
from collector.settings.models import (
    ConvertSettings,
    DatabaseSettings,
    IngestSettings,
    PartitionSettings,
    ReceiveSettings,
    Settings,
    TelemetrySettings,
)
from collector.settings.reading import ApiSettings, RedisSettings, TailSettings
from collector.settings.stage import Stage
from collector.settings.worker import from_worker_json, to_worker_json

__all__ = [
    "ApiSettings",
    "AuthSettings",
    "ConvertSettings",
    "DatabaseSettings",
    "IngestSettings",
    "PartitionSettings",
    "ReceiveSettings",
    "RedisSettings",
    "Settings",
    "Stage",
    "TailSettings",
    "TelemetrySettings",
    "TlsSettings",
    "from_worker_json",
    "to_worker_json",
]
