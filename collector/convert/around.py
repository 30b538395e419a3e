"""What is around the items of a leaf: resource, scope and metric, from frames to dimension rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from collector.convert.dimensions import metric_row, resource_row, scope_row
from collector.convert.framing import BROKEN_METRIC, Frame, Leaf
from collector.convert.memo import Key, Memo
from collector.convert.notes import Notes
from collector.errors import QuarantineError
from collector.rows import Reason


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
    """

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._known: dict[int, Known] = {}

    def of(self, leaf: Leaf) -> list[Known]:
        """Return resource, scope and, for data points, metric."""
        frames = _path(leaf.frame)
        memo, pairs = self._memo, self._memo.pairs
        resource, scope = frames[0].head, frames[1].head
        around = [
            self._know(
                frames[0],
                memo.resources,
                (resource,),
                lambda notes: resource_row(resource, pairs, notes),
            ),
            self._know(
                frames[1], memo.scopes, (scope,), lambda notes: scope_row(scope, pairs, notes)
            ),
        ]
        if len(frames) > 2 and leaf.member != BROKEN_METRIC:
            member, metric, data = leaf.member, frames[2].head, frames[3].head
            around.append(
                self._know(
                    frames[2],
                    memo.metrics,
                    (member, metric, data),
                    lambda notes: metric_row(member, metric, data, pairs, notes),
                )
            )
        return around

    def _know(
        self, frame: Frame, table: dict[Key, Any], key: Key, make: Callable[[Notes], Any]
    ) -> Known:
        known = self._known.get(frame.depth)
        if known is not None and known.frame is frame:
            return known
        known = self._known[frame.depth] = Known(frame, table.get(key))
        if known.row is not None:
            known.is_shared = True
            return known
        notes = Notes()
        try:
            known.row = make(notes)
        except QuarantineError as error:
            known.failure = Reason(error.reason)
            return known
        known.repair = notes.repair
        self._memo.remember(table, key, known.row, notes)
        return known


def _path(frame: Frame) -> list[Frame]:
    """Return the frame and all around it, outermost first."""
    path = [frame]
    while frame.parent is not None:
        frame = frame.parent
        path.append(frame)
    path.reverse()
    return path
