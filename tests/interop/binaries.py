"""Build the real otel-collector and telemetrygen once per set of versions; `make interop` starts it.

They come from the Go module proxy, checked against Go's checksum database, and are kept in the
user's cache folder, outside the repository. Measured on 2 cores: 130 s and 1.3 GB with empty Go
caches; nothing at all as long as the versions stay the same.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.interop import jaeger_programs, node
from tests.interop.cache import MissingBinariesError, cache_root, find_go, make_once, run_step

BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.161.0"
TELEMETRYGEN = "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.161.0"
MANIFEST = Path(__file__).with_name("builder.yaml")


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
    versions = f"{BUILDER}\n{TELEMETRYGEN}\n{platform.machine()}\n{MANIFEST.read_text()}"
    return cache_root() / hashlib.sha256(versions.encode()).hexdigest()[:16]


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
    binaries = binaries_in(cache_folder())
    make_once(cache_folder(), is_complete=binaries.complete, fill=_build_into)
    return binaries


def _build_into(unfinished: Path) -> None:
    go = find_go("the real otel-collector")
    for title, command in (
        ("[1/3] telemetrygen", [go, "install", TELEMETRYGEN]),
        ("[2/3] the collector builder", [go, "install", BUILDER]),
        ("[3/3] otel-collector", [str(unfinished / "builder"), "--config", str(MANIFEST)]),
    ):
        run_step(title, command, unfinished, GOBIN=str(unfinished), CGO_ENABLED="0")


if __name__ == "__main__":
    try:
        build()
        node.install()
        jaeger_programs.build()
    except MissingBinariesError as error:
        sys.exit(f"interop: {error}")
