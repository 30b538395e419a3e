"""What one worker of several has of the budgets that are per daemon."""

from __future__ import annotations

from collector.settings.models import Settings


def share(settings: Settings) -> Settings:
    """Return the settings with one worker's part of the budgets that are per daemon."""
    workers = settings.workers
    ingest, database = settings.ingest, settings.database
    return settings.model_copy(
        update={
            "ingest": ingest.model_copy(
                update={
                    "queue_bytes_max": ingest.queue_bytes_max // workers,
                    "queue_items_max": ingest.queue_items_max // workers,
                    # Rounded up: a share of 0 would mean that there is no limit.
                    "series_new_per_minute_max": -(-ingest.series_new_per_minute_max // workers),
                }
            ),
            "database": database.model_copy(
                update={
                    "connections_max": (database.connections_max - settings.connections_beside())
                    // workers,
                    "connections_min": max(1, database.connections_min // workers),
                }
            ),
        }
    )
