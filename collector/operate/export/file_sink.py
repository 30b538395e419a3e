"""An export as a file: as the otel-collector's file exporter writes it, and its receivers read it.

Spec: opentelemetry-collector-contrib exporter/fileexporter, README "File Format": JSON is one line for
each request; protobuf is each message behind its length in four bytes, the highest first. A protobuf
does not say which signal it is, so such a file has one.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import struct
from collections.abc import Generator
from pathlib import Path
from typing import IO, Final, cast

from collector.errors import CommandError
from collector.operate.export.form import Format
from collector.operate.export.read import Part
from collector.restore.otlp_json import to_json

LINE_BYTES_MAX: Final = 2**20
"""Of a line of JSON; a longer one is halved, as far as it has items.

Spec: opentelemetry-collector-contrib pkg/stanza/fileconsumer, ``max_log_size``: what the collector's
otlpjsonfile receiver reads of a line unless it is told otherwise; it takes the rest for another line.
"""

_LENGTH: Final = struct.Struct(">I")


class StreamSink:
    """Writes requests into an open file that stays open; ``bytes`` counts what was written."""

    def __init__(self, stream: IO[bytes], form: Format) -> None:
        self._stream = stream
        self._form = form
        self.bytes = 0
        self.complaint = ""

    async def take(self, part: Part) -> int:
        """Write a request, and return how many items it has; in halves if its line would be too long.

        Raises:
            CommandError: there is no room.
            BrokenPipeError: nobody reads it any more.
        """
        if self._form is Format.JSON:
            written = to_json(part.request) + b"\n"
            if len(written) > LINE_BYTES_MAX and len(part.rows) > 1:
                return sum([await self.take(half) for half in part.halves()])
        else:
            body = part.request.SerializeToString()
            written = _LENGTH.pack(len(body)) + body
        with _told("what was exported"):
            self._stream.write(written)
        self.bytes += len(written)
        return len(part.rows)

    async def finish(self) -> None:
        """Let what was written leave."""
        with _told("what was exported"):
            self._stream.flush()

    async def abandon(self) -> None:
        """Do nothing: what was written is gone already."""


class FileSink(StreamSink):
    """Writes a file that is there whole, or not at all; only its owner can read it.

    A name that ends in ``.gz`` is compressed.
    """

    def __init__(self, path: Path, form: Format, *, overwrite: bool) -> None:
        """Begin a file beside ``path``.

        Raises:
            CommandError: there is one already, or the folder takes none.
        """
        self._path = path
        self._unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
        if path.exists() and not overwrite:
            raise CommandError(f"{path} is there already; --overwrite replaces it")
        with _told(str(path)):
            descriptor = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._zip = None
        if path.suffix == ".gz":
            self._zip = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=6, mtime=0)
        super().__init__(self._file if self._zip is None else cast("IO[bytes]", self._zip), form)

    async def finish(self) -> None:
        """Put the file in its place."""
        with _told(str(self._path)):
            if self._zip is not None:
                self._zip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._unfinished.replace(self._path)

    async def abandon(self) -> None:
        """Leave nothing behind. Safe after ``finish``."""
        with contextlib.suppress(OSError):  # as a full disk: what is not written is not wanted
            self._file.close()
        self._unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _told(what: str) -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"cannot write {what}: {error.strerror}") from error
