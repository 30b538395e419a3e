"""Settings on their way to a worker process, secrets in clear; everything else masks them."""

from __future__ import annotations

from collector.settings.models import Settings
from collector.settings.stage import REVEAL_SECRETS


def to_worker_json(settings: Settings) -> str:
    """Return the settings as JSON with every secret in clear.

    For the standard input of a process of our own and for nothing else: not for an argument (seen
    by every user of the machine), a file or a log.
    """
    return settings.model_dump_json(context={REVEAL_SECRETS: True})


def from_worker_json(text: str) -> Settings:
    """Return the settings that ``to_worker_json`` wrote, equal in every field."""
    return Settings.model_validate_json(text)
