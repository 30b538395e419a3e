"""What one request has become so far: rows, their dimensions, and what happened to each item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from sys import getsizeof
from typing import Any, TypeAlias, TypeVar, cast

from collector.convert.dimensions import row_bytes
from collector.convert.notes import Notes
from collector.errors import QuarantineError
from collector.rows import Dimensions, MetricRow, Reason, ResourceRow, ScopeRow

Row: TypeAlias = tuple[Any, ...]
Item = TypeVar("Item")


@dataclass(slots=True, frozen=True)
class Group:
    """Who emitted the items of one leaf; ``metric`` only for data points."""

    resource: ResourceRow
    scope: ScopeRow
    metric: MetricRow | None = None
    is_metric_repaired: bool = False


class Output:
    """Adds up; the signals' row makers report here what is not usual.

    Attributes:
        notes: of the item at hand.
        rows: plain tuples in ``rows`` order, in the order of the items.
        dimensions: what they refer to.
        quarantined: reason by item number; such an item has no row.
        repaired: reason by item number; such an item has a row.
        size_bytes: estimate of what rows and dimensions hold in memory.
        latest_ns: largest event time, as sent.
        has_entropy: an id tells this request from another one of the same shape.
        has_identity: at least one item is surely one of this signal.
    """

    __slots__ = (
        "dimensions",
        "has_entropy",
        "has_identity",
        "latest_ns",
        "notes",
        "quarantined",
        "repaired",
        "rows",
        "size_bytes",
    )

    def __init__(self) -> None:
        self.notes = Notes()
        self.rows: list[Row] = []
        self.dimensions = Dimensions({}, {}, {}, {})
        self.quarantined: dict[int, Reason] = {}
        self.repaired: dict[int, Reason] = {}
        self.size_bytes = 0
        self.latest_ns = 0
        self.has_entropy = False
        self.has_identity = False

    def add_group(self, group: Group) -> None:
        """Make the group's dimensions part of the request."""
        tables = cast("tuple[dict[int, Any], ...]", self.dimensions)
        around = (group.resource, group.scope, group.metric)
        for rows, row in zip(tables, around, strict=False):  # series are added one by one
            if row is not None and row[0] not in rows:
                rows[row[0]] = row
                self.size_bytes += row_bytes(row)

    def take_raw(self) -> str | None:
        """Return the ``raw`` column of the item at hand, and account for it."""
        text = self.notes.take_raw()
        self.size_bytes += getsizeof(text)
        return text

    def add_rows(
        self,
        items: Iterable[Item],
        row_of: Callable[[Item], Row],
        first: int,
        text_columns: Iterable[int],
    ) -> None:
        """Append a row per item, or note the reason for its quarantine.

        Args:
            items: adjacent items of one leaf.
            row_of: makes a row, or raises QuarantineError.
            first: item number of the first of them.
            text_columns: where each row has text; ``row_of`` accounts for optional columns itself.
        """
        notes, rows = self.notes, self.rows
        append, before = rows.append, len(rows)
        for index, item in enumerate(items, first):
            try:
                append(row_of(item))
            except QuarantineError as error:
                self.quarantined[index] = Reason(error.reason)
                notes.clear()
            else:
                if notes.repair is not None:
                    self.repaired[index] = notes.repair
                    notes.repair = None
        new_rows = rows[before:]
        for column in text_columns:
            self.size_bytes += sum(map(getsizeof, map(itemgetter(column), new_rows)))
