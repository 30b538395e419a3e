"""settings.share: a worker's part of what is per daemon."""

from __future__ import annotations

import pytest

from collector.settings import DatabaseSettings, IngestSettings, Settings
from collector.settings.share import share


def test_budgets_are_divided_among_workers() -> None:
    """What is per daemon is shared; what is per worker is not."""
    whole = Settings(workers=4, database=DatabaseSettings(connections_max=44))

    part = share(whole)

    assert part.ingest == IngestSettings(
        queue_bytes_max=whole.ingest.queue_bytes_max // 4,
        queue_items_max=whole.ingest.queue_items_max // 4,
        series_new_per_minute_max=whole.ingest.series_new_per_minute_max // 4,
    )
    assert part.database == DatabaseSettings(connections_max=10, connections_min=1)
    assert part.receive == whole.receive


@pytest.mark.parametrize(("of_daemon", "of_worker"), [(0, 0), (1, 1), (5, 2)])
def test_a_share_of_the_series_is_never_no_limit(of_daemon: int, of_worker: int) -> None:
    """0 switches the limit off, so a small one is rounded up."""
    ingest = IngestSettings(series_new_per_minute_max=of_daemon)

    part = share(Settings(workers=4, ingest=ingest))

    assert part.ingest.series_new_per_minute_max == of_worker
