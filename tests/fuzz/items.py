"""The items of a decoded request, one by one, in the order of the wire.

Works on official messages and on those of ``lenient`` alike, whose fields have the same names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from collector.rows import Signal

_GROUPS = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}


class Item(NamedTuple):
    """One item, and what is around it from the outside in: resource, scope and metric groups."""

    item: Any
    around: tuple[Any, ...]


def items_of(signal: Signal, request: Any) -> Iterator[Item]:
    """Yield every item of a request."""
    for around, holder in _leaves(signal, request):
        for item in holder:
            yield Item(item, around)


def _leaves(signal: Signal, request: Any) -> Iterator[tuple[tuple[Any, ...], Sequence[Any]]]:
    """Yield what is around each list of items, and the list itself."""
    resources, scopes, items = _GROUPS[signal]
    for resource in getattr(request, resources):
        for scope in getattr(resource, scopes):
            holder = getattr(scope, items)
            if signal is not Signal.METRICS:
                yield (resource, scope), holder
                continue
            for metric in holder:
                data = metric.WhichOneof("data")
                if data is not None:
                    yield (resource, scope, metric), getattr(metric, data).data_points
