"""Log records of the last day, evenly over it; six of ten belong to a trace.

| Level | debug | info | warn | error |
|---|---|---|---|---|
| Part | 15 % | 70 % | 10 % | 5 % |

A body is one of twelve sentences with three words of a vocabulary of 4 096 in it, of which the word
of rank ``r`` stands in about ``0.36 / r`` of all records: in every third one to one in eleven thousand.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from collector.operate.attributes import any_value, key_values
from collector.operate.bench.load.template import Template, field, mark, mark_integer
from collector.operate.bench.query.data.shape import (
    DAY_NS,
    INSTANCE_WEIGHTS,
    INSTANCES,
    Shape,
    resource,
    scope_field,
)
from collector.operate.bench.query.data.spans import Root

LEVELS: Final = (
    ("DEBUG", SeverityNumber.SEVERITY_NUMBER_DEBUG, 0.15),
    ("INFO", SeverityNumber.SEVERITY_NUMBER_INFO, 0.70),
    ("WARN", SeverityNumber.SEVERITY_NUMBER_WARN, 0.10),
    ("ERROR", SeverityNumber.SEVERITY_NUMBER_ERROR, 0.05),
)
_LEVEL_WEIGHTS = tuple(accumulate(part for _, _, part in LEVELS))
WORDS: Final = 4_096
WORD_CHARACTERS: Final = 8
INSIDE: Final = 0.6
RECORDS_PER_REQUEST: Final = 5_000

TIME, OBSERVED = mark(0, 8), mark(1, 8)
WORD_MARKS: Final = tuple(mark(number, WORD_CHARACTERS) for number in (2, 3, 4))
ORDER, THREAD = mark(5, 12), mark(6, 4)
TRACE_ID, SPAN_ID = mark(7, 16), mark(8, 8)

_SENTENCES = (
    "order {order} accepted, {0} and {1} reserved, {2} to follow",
    "payment of order {order} authorised by {0} after {1}, see {2}",
    "retrying {0} for order {order}: {1} did not answer, {2} is next",
    "cache of {0} has no {1} for order {order}, reading {2} from the database",
    "order {order} handed to {0}; label of {1} printed and {2} queued for the customer",
    "slow query on {0} by {1} for order {order}, plan {2}",
    "session of {0} renewed with {1} and {2} while order {order} was open",
    "connection to {0} lost in order {order}; {1} took over from {2}",
    "feature {0} is on for {1} in order {order} because of {2}",
    "{0} checked {1} against {2} for order {order}: no difference found",
    "request for {0} rejected in order {order}: {1} is not allowed to {2}",
    "batch {0} of order {order} written to {1} in parts of {2}",
)
_SCOPE = scope_field("ch.qos.logback")


def vocabulary(shape: Shape) -> tuple[str, ...]:
    """Return the words by rank, the most frequent first: all different, no one inside another."""
    rng = shape.rng("words")
    words: dict[str, None] = {}
    while len(words) < WORDS:
        syllables = (rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(4))
        words["".join(syllables)] = None
    return tuple(words)


class LogDay:
    """Builds the log records of one day."""

    def __init__(self, shape: Shape, roots: Sequence[Root]) -> None:
        """``roots`` are of the same day, by time."""
        self._shape = shape
        self._rng = shape.rng("logs")
        self._roots = roots
        self._words = [word.encode() for word in vocabulary(shape)]
        self._templates = [
            [(_template(sentence, level, True), _template(sentence, level, False)) for sentence in range(len(_SENTENCES))]
            for level in range(len(LEVELS))
        ]  # fmt: skip
        self._heads = [resource(instance) for instance in range(INSTANCES)]

    def requests(self) -> Iterator[bytes]:
        """Yield export requests that together are the day, about in the order of time."""
        records = self._shape.logs // self._shape.days
        for first in range(0, records, RECORDS_PER_REQUEST):
            by_instance: dict[int, list[bytes]] = {}
            for place in range(first, min(first + RECORDS_PER_REQUEST, records)):
                instance, record = self._record(place / records)
                by_instance.setdefault(instance, []).append(record)
            yield self._request(by_instance)

    def _record(self, part: float) -> tuple[int, bytes]:
        """Return who wrote a record so far into the day, and the record."""
        rng = self._rng
        root = None
        if rng.random() < INSIDE:
            root = self._roots[int(part * len(self._roots))]
            instance = root.instance
            time = root.start_unix_ns + rng.randrange(10**9)
        else:
            (instance,) = rng.choices(range(INSTANCES), cum_weights=INSTANCE_WEIGHTS)
            time = self._shape.begin_unix_ns + int(part * (DAY_NS - 10**9)) + rng.randrange(10**6)
        (level,) = rng.choices(range(len(LEVELS)), cum_weights=_LEVEL_WEIGHTS)
        values = (
            time.to_bytes(8, "little"),
            (time + 1_500).to_bytes(8, "little"),
            *(self._words[_rank(rng)] for _ in WORD_MARKS),
            b"%012d" % rng.randrange(10**12),
            b"%04d" % rng.randrange(64),
        )
        inside, outside = self._templates[level][rng.randrange(len(_SENTENCES))]
        if root is None:
            return instance, outside.fill(*values)
        return instance, inside.fill(*values, root.trace_id, root.span_id)

    def _request(self, by_instance: dict[int, list[bytes]]) -> bytes:
        return b"".join(
            field(1, self._heads[each] + field(2, _SCOPE + b"".join(field(2, r) for r in records)))
            for each, records in by_instance.items()
        )


def _rank(rng: random.Random) -> int:
    """Return a rank of a word from 0; its logarithm is evenly distributed."""
    return int(WORDS ** rng.random()) - 1


def _template(sentence: int, level: int, inside: bool) -> Template:
    text, number, _ = LEVELS[level]
    words = [each.decode() for each in WORD_MARKS]
    record = LogRecord(
        time_unix_nano=mark_integer(0),
        observed_time_unix_nano=mark_integer(1),
        severity_number=number,
        severity_text=text,
        body=any_value(_SENTENCES[sentence].format(*words, order=ORDER.decode())),
        trace_id=TRACE_ID if inside else b"",
        span_id=SPAN_ID if inside else b"",
        flags=1 if inside else 0,
        attributes=key_values(
            {
                "code.namespace": f"com.platform.module{sentence}",
                "code.lineno": 20 + 7 * sentence,
                "thread.name": f"worker-{THREAD.decode()}",
                "deployment.canary": sentence % 4 == 0,
            }
        ),
    )
    marks = [TIME, OBSERVED, *WORD_MARKS, ORDER, THREAD]
    return Template(record, [*marks, TRACE_ID, SPAN_ID] if inside else marks)
