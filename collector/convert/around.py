"""What is around the items of a leaf: resource, scope and metric, from frames to dimension rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from collector.convert.dimensions import ROW_EFFORT, metric_row, resource_row, scope_row
from collector.convert.framing import DEPTH_MAX, Frame, Leaf
from collector.convert.memo import Key, Memo
from collector.convert.notes import Notes
from collector.convert.survey import has_too_many_parts
from collector.errors import MalformedError, QuarantineError
from collector.rows import Reason
from collector.settings import ConvertSettings

KINDS = {1: "resource_head", 2: "scope_head", 3: "metric_head"}
"""What ``survey`` calls the head of a frame, by depth."""


@dataclass(slots=True)
class Known:
    """What one frame turned out to be."""

    frame: Frame
    row: Any = None  # ResourceRow, ScopeRow or MetricRow; None when there is a failure
    is_shared: bool = False  # the memo holds the row too, and accounts for it
    failure: Reason | None = None  # set: the frame's items are quarantined
    repair: Reason | None = None
    has_letter: bool = False  # the repair's original bytes are in a dead letter


class Surroundings:
    """Makes each frame's row once for all of its leaves, which are neighbours; failures too.

    Shape: holds one frame per depth, so its memory does not grow with the request.

    Args:
        memo: of the converter.
        settings: the caps on items, which hold for heads too.

    Attributes:
        made_bytes: heads that the memo did not know, all together.
    """

    def __init__(self, memo: Memo, settings: ConvertSettings) -> None:
        self._memo = memo
        self._settings = settings
        self.made_bytes = 0
        self._known: dict[int, Known] = {}

    def of(self, leaf: Leaf) -> list[Known]:
        """Return resource, scope and, for data points, metric."""
        memo, scope, metric = self._memo, leaf.frame, None
        if scope.depth == DEPTH_MAX:  # the data of a metric
            metric = scope.parent
            assert metric is not None
            assert metric.parent is not None
            scope = metric.parent
        resource = scope.parent
        assert resource is not None
        around = [
            self._know(resource, memo.resources, (resource.head,), resource_row),
            self._know(scope, memo.scopes, (scope.head,), scope_row),
        ]
        if metric is not None:
            key = (leaf.member, metric.head, leaf.frame.head)
            around.append(self._know(metric, memo.metrics, key, metric_row))
        return around

    def _know(
        self, frame: Frame, table: dict[Key, Any], key: Key, make: Callable[..., Any]
    ) -> Known:
        """Return what the frame is; ``make`` takes the parts of ``key``, the memo's pairs and notes."""
        known = self._known.get(frame.depth)
        if known is not None and known.frame is frame:
            return known
        known = self._known[frame.depth] = Known(frame, table.get(key))
        if known.row is not None:
            known.is_shared = True
            return known
        notes = Notes()
        known.failure = self._refusal(frame, sum(map(len, key)), notes)
        if known.failure is None:
            try:
                known.row = make(*key, self._memo.pairs, notes)
            except QuarantineError as error:
                known.failure = Reason(error.reason)
            else:
                known.repair = notes.repair
                self._memo.remember(table, key, known.row, notes)
        self._memo.effort += notes.effort + ROW_EFFORT
        return known

    def _refusal(self, frame: Frame, size: int, notes: Notes) -> Reason | None:
        """Return why a head is not even decoded; None when it is."""
        if size > self._settings.item_bytes_max:
            return Reason.TOO_LARGE
        self.made_bytes += size
        parts_max = self._settings.parts_max
        try:
            if size >= parts_max and has_too_many_parts(
                frame.head, KINDS[frame.depth], parts_max, notes
            ):
                return Reason.TOO_MANY_PARTS
        except MalformedError:
            return Reason.UNDECODABLE
        return None
