"""Build the real otel-collector and telemetrygen once per set of versions; `make interop` starts it.

They come from the Go module proxy, checked against Go's checksum database, and are kept in the
user's cache folder, outside the repository. Measured on 2 cores: 130 s and 1.3 GB with empty Go
caches; nothing at all as long as the versions stay the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.161.0"
TELEMETRYGEN = "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.161.0"
MANIFEST = Path(__file__).with_name("builder.yaml")
STEP_S_MAX = 600.0


class MissingBinariesError(RuntimeError):
    """The binaries are not there and cannot be had; a missing service fails, it never skips."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the two programs lie."""

    otelcol: Path
    telemetrygen: Path

    def complete(self) -> bool:
        """Tell whether both programs are there."""
        return self.otelcol.is_file() and self.telemetrygen.is_file()


def cache_folder() -> Path:
    """Return the folder of exactly these versions; another version is another folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    versions = f"{BUILDER}\n{TELEMETRYGEN}\n{platform.machine()}\n{MANIFEST.read_text()}"
    return cache / "otlpg" / "interop" / hashlib.sha256(versions.encode()).hexdigest()[:16]


def binaries_in(folder: Path) -> Binaries:
    """Return the paths of the programs inside ``folder``, whether they exist or not."""
    return Binaries(otelcol=folder / "otelcol" / "otelcol", telemetrygen=folder / "telemetrygen")


def find() -> Binaries:
    """Return the programs that were built before.

    Tests call this: a build takes longer than a test may.

    Raises:
        MissingBinariesError: they were not built yet.
    """
    binaries = binaries_in(cache_folder())
    if not binaries.complete():
        raise MissingBinariesError(
            "otel-collector and telemetrygen are not built; run `make interop`"
        )
    return binaries


def build() -> Binaries:
    """Return the programs, built when these versions are not in the cache yet.

    One process builds, others wait for it. The folder appears whole or not at all.

    Raises:
        MissingBinariesError: Go is missing, or a step failed.
    """
    folder = cache_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        binaries = binaries_in(folder)
        if not binaries.complete():
            _build_into(folder)
    return binaries


def _build_into(folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise MissingBinariesError(
            "`make interop` builds the real otel-collector and needs Go 1.26 or newer on PATH "
            "(https://go.dev/dl/)"
        )
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    started = time.monotonic()
    _step("[1/3] telemetrygen", [go, "install", TELEMETRYGEN], unfinished)
    _step("[2/3] the collector builder", [go, "install", BUILDER], unfinished)
    builder = unfinished / "builder"
    _step("[3/3] otel-collector", [str(builder), "--config", str(MANIFEST)], unfinished)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    _say(f"built in {time.monotonic() - started:.0f} s, kept in {folder}")


def _step(title: str, command: list[str], folder: Path) -> None:
    _say(title)
    environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"}
    try:
        subprocess.run(command, cwd=folder, env=environment, check=True, timeout=STEP_S_MAX)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise MissingBinariesError(f"{title}: {error}") from error


def _say(line: str) -> None:
    sys.stderr.write(f"interop: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        build()
    except MissingBinariesError as error:
        sys.exit(f"interop: {error}")
