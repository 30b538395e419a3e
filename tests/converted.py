"""Converted requests built by hand: what the buffer, the flushers and the store take.

They are plain and valid unless a test says otherwise, and need neither the wire nor ``convert``.
"""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from collector.rows import (
    ConvertedRequest,
    DeadLetterRow,
    Dimensions,
    MetricRow,
    ResourceRow,
    ScopeRow,
    SeriesRow,
    Signal,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY_US = 86_400_000_000
EPOCH_DAY = date(2000, 1, 1)


def day_of(time: int) -> date:
    """Return the UTC date of microseconds since 2000-01-01."""
    return EPOCH_DAY + timedelta(days=time // DAY_US)


def digest_of(name: str) -> bytes:
    """Return 16 bytes that depend on nothing but ``name``."""
    return hashlib.sha256(name.encode()).digest()[:16]


def id_of(name: str) -> int:
    """Return a signed 64-bit id that depends on nothing but ``name``."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


def resource_row(name: str = "shop", *, digest: bytes | None = None) -> ResourceRow:
    """Return a resource whose id and digest follow from its name."""
    attributes = f'{{"service.name":"{name}"}}'
    return ResourceRow(
        id_of(f"resource {name}"),
        name,
        None,
        None,
        attributes,
        None,
        None,
        None,
        None,
        digest or digest_of(f"resource {name}"),
    )


def scope_row(name: str = "library") -> ScopeRow:
    """Return a scope whose id and digest follow from its name."""
    return ScopeRow(
        id_of(f"scope {name}"),
        name,
        "1.0",
        "{}",
        None,
        None,
        None,
        digest_of(f"scope {name}"),
    )


def metric_row(name: str = "requests") -> MetricRow:
    """Return a gauge whose id and digest follow from its name."""
    digest = digest_of(f"metric {name}")
    return MetricRow(
        id_of(f"metric {name}"), name, None, "1", "gauge", None, None, "{}", None, digest
    )


def series_row(metric: MetricRow, resource: ResourceRow, scope: ScopeRow) -> SeriesRow:
    """Return the series of a metric without attributes."""
    key = f"series {metric.metric_id} {resource.resource_id} {scope.scope_id}"
    return SeriesRow(
        id_of(key),
        metric.metric_id,
        resource.resource_id,
        scope.scope_id,
        resource.service_name,
        "{}",
        None,
        digest_of(key),
    )


def dimensions(
    resources: Sequence[ResourceRow] = (),
    scopes: Sequence[ScopeRow] = (),
    metrics: Sequence[MetricRow] = (),
    series: Sequence[SeriesRow] = (),
) -> Dimensions:
    """Return the rows keyed by their ids."""
    return Dimensions(
        {row.resource_id: row for row in resources},
        {row.scope_id: row for row in scopes},
        {row.metric_id: row for row in metrics},
        {row.series_id: row for row in series},
    )


def span_row(
    number: int = 0,
    *,
    time: int,
    trace: str = "trace",
    name: str = "GET /",
    service: str | None = "shop",
    root: bool = False,
    status: int = 0,
    duration_ns: int | None = 1_000_000,
    attributes: str = '{"http.method":"GET"}',
    resource: ResourceRow | None = None,
    scope: ScopeRow | None = None,
) -> tuple[Any, ...]:
    """Return one span of ``trace`` in ``rows.SpanRow`` order."""
    return (
        time,
        123,
        duration_ns,
        digest_of(trace),
        digest_of(f"{trace} {number}")[:8],
        None if root else digest_of(f"{trace} parent")[:8],
        name,
        2,
        service,
        status,
        None,
        None,
        1,
        attributes,
        None,
        None,
        None,
        None,
        None,
        (resource or resource_row()).resource_id,
        (scope or scope_row()).scope_id,
        None,
    )


def log_row(
    *, time: int, body: str = "hello", service: str | None = "shop", attributes: str = "{}"
) -> tuple[Any, ...]:
    """Return one log record in ``rows.LogRow`` order."""
    return (
        time,
        5,
        time,
        5,
        service,
        9,
        "INFO",
        body,
        None,
        None,
        None,
        None,
        0,
        attributes,
        None,
        resource_row().resource_id,
        scope_row().scope_id,
        None,
    )


def point_row(series: SeriesRow, *, time: int, value: float = 1.5) -> tuple[Any, ...]:
    """Return one gauge point in ``rows.PointRow`` order."""
    return (series.series_id, time, 7, None, None, value, None, 0, *[None] * 16)


def request(
    name: str = "request",
    *,
    signal: Signal = Signal.LOGS,
    rows: Sequence[tuple[Any, ...]] = (),
    items: int | None = None,
    size_bytes: int = 1_000,
    dims: Dimensions | None = None,
    in_ledger: bool = True,
    dead_letters: Sequence[DeadLetterRow] = (),
    quarantined: int = 0,
    rejected: int = 0,
    item_indexes: list[int] | None = None,
    received_at: int = 0,
) -> ConvertedRequest:
    """Return a request; its digest and payload follow from ``name``."""
    index = 0 if signal is Signal.TRACES else 1 if signal is Signal.METRICS else 0
    times = [row[index] for row in rows]
    return ConvertedRequest(
        signal=signal,
        digest=digest_of(name),
        day=day_of(max(times)) if times else EPOCH_DAY,
        in_ledger=in_ledger,
        received_at=received_at,
        items=len(rows) + quarantined + rejected if items is None else items,
        rows=list(rows),
        item_indexes=item_indexes,
        dimensions=dims or dimensions([resource_row()], [scope_row()]),
        payload=name.encode(),
        size_bytes=size_bytes,
        time_min=min(times, default=0),
        time_max=max(times, default=0),
        dead_letters=list(dead_letters),
        quarantined=quarantined,
        rejected=rejected,
    )
