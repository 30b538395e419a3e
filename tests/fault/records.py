"""What was sent and what was heard: the sender's side of the books."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from collector.rows import Signal
from tests.factories import ExportRequest, request_of


@dataclass
class Record:
    """One request, its exact bytes, and what its sender knows about it.

    ``acknowledged`` is True once any attempt was answered OK; ``failure`` is the code of a reply
    that forbade a retry, which nothing in these loads deserves.
    """

    signal: Signal
    request: ExportRequest
    payload: bytes
    attempts: int = 0
    acknowledged: bool = False
    failure: str | None = None


def requests(seed: int) -> Iterator[Record]:
    """Yield requests without end, of every signal in turn, each item unlike any other.

    Sizes are drawn from the seed; times begin now, since a leaf must exist for them.
    """
    rng = Random(f"requests {seed}")
    base_unix_nano = time.time_ns() - 60 * 10**9
    number = 0
    while True:
        for signal in Signal:
            number += 1
            request = request_of(
                signal,
                items=rng.choice((1, 3, 11, 22, 40)),
                seed=seed * 1_000_000 + number,
                base_unix_nano=base_unix_nano + number * 1_000_003,
            )
            yield Record(signal, request, request.SerializeToString())
