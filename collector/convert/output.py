"""What one request has become so far: rows, their dimensions, and what happened to each item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from sys import getsizeof
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from collector.convert.memo import row_bytes
from collector.convert.notes import Notes
from collector.errors import QuarantineError
from collector.rows import Dimensions, MetricRow, Reason, ResourceRow, ScopeRow

Row: TypeAlias = tuple[Any, ...]
Item = TypeVar("Item")

GC_HEADER_BYTES, LIST_SLOT_BYTES, DICT_SLOT_BYTES = 16, 8, 80
SMALL_INT_MAX = 256
"""Python keeps integers up to this once; larger ones are objects of their own."""


class Columns(NamedTuple):
    """Which columns of a row hold objects of their own; the others share theirs or are optional.

    Optional columns are accounted for by the row makers, when a row has them.
    """

    text: tuple[int, ...]
    own: tuple[int, ...]  # numbers and ids


def columns_of(row_type: type[tuple[Any, ...]], *, text: str, own: str) -> Columns:
    """Return the places of columns, which are named in two lists with spaces between."""
    fields: tuple[str, ...] = getattr(row_type, "_fields")  # noqa: B009
    return Columns(
        tuple(map(fields.index, text.split())),
        tuple(map(fields.index, own.split())),
    )


@dataclass(slots=True)
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

    def add_group(self, group: Group, *, is_shared: bool) -> None:
        """Make the group's dimensions part of the request.

        ``is_shared``: the memo holds them too, and accounts for them.
        """
        tables = cast("tuple[dict[int, Any], ...]", self.dimensions)
        around = (group.resource, group.scope, group.metric)
        for rows, row in zip(tables, around, strict=False):  # series are added one by one
            if row is not None and row[0] not in rows:
                rows[row[0]] = row
                self.size_bytes += DICT_SLOT_BYTES if is_shared else row_bytes(row)

    def take_raw(self) -> str | None:
        """Return the ``raw`` column of the item at hand, and account for it."""
        text = self.notes.take_raw()
        self.size_bytes += getsizeof(text)
        return text

    def add_rows(
        self, items: Iterable[Item], row_of: Callable[[Item], Row], first: int, columns: Columns
    ) -> None:
        """Append a row per item, or note the reason for its quarantine.

        Args:
            items: adjacent items of one leaf.
            row_of: makes a row, or raises QuarantineError.
            first: item number of the first of them.
            columns: which columns cost memory.
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
        self._account(rows[before:], columns)

    def _account(self, rows: list[Row], columns: Columns) -> None:
        """Add what ``rows`` hold in memory: text exactly, the rest as if all were like the first."""
        if not rows:
            return
        self.size_bytes += len(rows) * _bytes_without_text(rows[0], columns.own)
        for column in columns.text:
            texts: Iterable[str | None] = map(itemgetter(column), rows)
            self.size_bytes += sum(map(getsizeof, filter(None, texts)))


def _bytes_without_text(row: Row, own: Iterable[int]) -> int:
    size = getsizeof(row) + GC_HEADER_BYTES + LIST_SLOT_BYTES
    for column in own:
        value = row[column]
        if value is not None and not (isinstance(value, int) and -5 <= value <= SMALL_INT_MAX):
            size += getsizeof(value)
    return size
