"""Build the official Jaeger v2 and its own test of a storage once per version; kept as ``binaries``.

Both come out of one Go module, unpacked beside them, since packages that a test needs are internal.
The module proxy has Jaeger up to 1.76.0, which is 2.13.0 too: releases of both numbers were one
commit, and the tags of later ones, v2.x.y, do not fit the module's path. Its page is a placeholder
there, its APIs are whole. Measured on 2 busy cores with an empty cache: some 8 minutes of CPU.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.interop.cache import MissingBinariesError, cache_root, find_go, make_once, run_step

MODULE = "github.com/jaegertracing/jaeger@v1.76.0"
SUITE = Path(__file__).with_name("go") / "jaeger_storage_test.go"
PACKAGE = "internal/storage/integration"
BUILD_S_MAX = 1_800.0


@dataclass(frozen=True, slots=True)
class JaegerPrograms:
    """Where the two programs lie."""

    jaeger: Path
    storage_test: Path

    def complete(self) -> bool:
        """Tell whether both programs are there."""
        return self.jaeger.is_file() and self.storage_test.is_file()


def cache_folder() -> Path:
    """Return the folder of exactly this version and this test; another one is another folder."""
    versions = f"{MODULE}\n{platform.machine()}\n{SUITE.read_text()}"
    return cache_root() / f"jaeger-{hashlib.sha256(versions.encode()).hexdigest()[:16]}"


def programs_in(folder: Path) -> JaegerPrograms:
    """Return the paths of the programs inside ``folder``, whether they exist or not."""
    return JaegerPrograms(jaeger=folder / "jaeger", storage_test=folder / "storage.test")


def find() -> JaegerPrograms:
    """Return the programs that were built before.

    Raises:
        MissingBinariesError: they were not built yet.
    """
    programs = programs_in(cache_folder())
    if not programs.complete():
        raise MissingBinariesError("Jaeger is not built; run `make interop`")
    return programs


def build() -> JaegerPrograms:
    """Return the programs, built when this version is not in the cache yet.

    One process builds, others wait for it. The folder appears whole or not at all.

    Raises:
        MissingBinariesError: Go is missing, or a step failed.
    """
    programs = programs_in(cache_folder())
    make_once(cache_folder(), is_complete=programs.complete, fill=_build_into)
    return programs


def _build_into(unfinished: Path) -> None:
    go = find_go("Jaeger")
    source = unfinished / "source"
    _unpack(go, source)
    built = programs_in(unfinished)
    for title, command in (
        ("[1/2] Jaeger", [go, "build", "-ldflags=-s -w", "-o", str(built.jaeger), "./cmd/jaeger"]),
        (
            "[2/2] its test of a storage",
            [go, "test", "-c", "-ldflags=-s -w", "-o", str(built.storage_test), f"./{PACKAGE}"],
        ),
    ):
        run_step(title, command, source, timeout_s=BUILD_S_MAX, CGO_ENABLED="0")
    shutil.rmtree(source)


def _unpack(go: str, source: Path) -> None:
    """Make a copy of the module, with our test of its storages in the place of its own ones.

    Theirs need Cassandra, Elasticsearch, Kafka; what all of them run is no test file, and stays.
    """
    command = [go, "mod", "download", "-json", MODULE]
    try:
        found = subprocess.run(command, cwd=source.parent, capture_output=True, check=True)
    except subprocess.CalledProcessError as error:
        raise MissingBinariesError(f"{MODULE}: {error.stdout.decode()}") from error
    shutil.copytree(json.loads(found.stdout)["Dir"], source, copy_function=shutil.copyfile)
    for folder in (source, *(path for path in source.rglob("*") if path.is_dir())):
        folder.chmod(0o755)  # the module cache is read-only
    for path in (source / PACKAGE).glob("*_test.go"):
        path.unlink()
    shutil.copy(SUITE, source / PACKAGE)
