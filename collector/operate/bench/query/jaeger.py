"""The official Jaeger beside us: one process with a storage of its own, fed with the same spans.

Jaeger v2 in its usual shape: OTLP in, one backend, its query service. Badger keeps on disk, as we do;
what it has to keep in memory besides is its own choice.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import orjson

from collector.errors import CommandError
from collector.operate.access import Access
from collector.operate.bench.daemon import free_port
from collector.operate.bench.processes import end
from collector.operate.bench.query.asking import await_answers
from collector.operate.export.endpoint_sink import EndpointSink
from collector.operate.export.run import Progress, export
from collector.operate.verify.grpc_door import GrpcDoor
from collector.query.time_range import TimeRange
from collector.rows import Signal
from collector.store.pool import Database
from collector.telemetry.clock import SystemClock

STORAGE: Final = "badger"
READY_S_MAX: Final = 60.0
STOP_S_MAX: Final = 60.0
LOG_TAIL_BYTES: Final = 2_000
TELL_SHARE: Final = 0.05
"""Feeding is told after each such part; of 5 million spans it takes about a minute."""

OWN_TRACES_OFF: Final = {"OTEL_TRACES_SAMPLER": "always_off"}
"""Jaeger would send traces of its own to port 4317, where a daemon of somebody's may listen.

Spec: jaeger internal/jtracer/jtracer.go, and OpenTelemetry's environment variables.
"""


class Jaeger:
    """The program on loopback, its data in a folder; a context manager that waits until it answers."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._log = folder / "jaeger.log"
        self._otlp_port = free_port()
        self.http_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            CommandError: it did not answer in time; the text holds the end of its log.
        """
        config = self._folder / "jaeger.json"  # JSON is YAML, too
        config.write_bytes(orjson.dumps(self._config()))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- what the user named
                [self._program, "--config", config],
                env=os.environ | OWN_TRACES_OFF,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            process = self._process
            await_answers(self.http_port, READY_S_MAX, lambda: process.poll() is None)
        except CommandError as error:
            self.__exit__()
            tail = self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
            raise CommandError(f"Jaeger did not start:\n{tail}") from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        end(self._process, STOP_S_MAX)

    async def feed(self, database: Database, when: TimeRange, tell: Callable[[str], None]) -> int:
        """Send it the spans of a range, as ``otlpg export`` does; return how many they were.

        ``tell`` hears from time to time how many it has.

        Raises:
            StoreError: PostgreSQL did not answer.
            CommandError: it did not take them.
        """
        door = GrpcDoor(f"http://127.0.0.1:{self._otlp_port}", Access())
        sink = EndpointSink(door, clock=SystemClock(), rng=Random(1))
        progress = Progress()
        await export(
            database,
            sink,
            signals=(Signal.TRACES,),
            when=when,
            service=None,
            progress=progress,
            tell=Milestones(tell),
        )
        if sink.complaint:
            raise CommandError(sink.complaint)
        return progress.items[Signal.TRACES]

    def _config(self) -> dict[str, Any]:
        here = "127.0.0.1"
        directories = {"keys": str(self._folder / "keys"), "values": str(self._folder / "values")}
        backend = {
            STORAGE: {
                "directories": directories,
                "ephemeral": False,
                "ttl": {"spans": "720h"},
            }
        }
        return {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query"],
                "pipelines": {
                    "traces": {
                        "receivers": ["otlp"],
                        "exporters": ["jaeger_storage_exporter"],
                    }
                },
                "telemetry": {"metrics": {"level": "none"}},
            },
            "extensions": {
                "jaeger_storage": {"backends": {"here": backend}},
                "jaeger_query": {
                    "storage": {"traces": "here"},
                    "http": {"endpoint": f"{here}:{self.http_port}"},
                    "grpc": {"endpoint": f"{here}:{free_port()}"},
                },
            },
            "receivers": {
                "otlp": {"protocols": {"grpc": {"endpoint": f"{here}:{self._otlp_port}"}}}
            },
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "here"}},
        }


class Milestones:
    """Tells how far feeding is, once for each ``TELL_SHARE`` of the time range."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told = 0

    def __call__(self, progress: Progress) -> None:
        """Hear of progress."""
        if progress.when is None or not progress.when.length_us:
            return
        share = (progress.done - progress.when.start) / progress.when.length_us
        if int(share / TELL_SHARE) > self._told:
            self._told = int(share / TELL_SHARE)
            self._tell(
                f"Jaeger has {progress.items.total():,} spans, {share:.0%} of the time range"
            )
