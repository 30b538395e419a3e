"""How the programs for interop come to be; part of `make test`, builds nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.interop import binaries, jaeger_programs, node
from tests.interop.cache import MissingBinariesError, make_once


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with nothing in it, on a machine without Go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "cache"


@pytest.mark.usefixtures("empty_cache")
def test_missing_go_fails_and_says_what_to_install() -> None:
    """Without Go nothing is skipped: the build fails and names what is missing."""
    with pytest.raises(binaries.MissingBinariesError, match=r"needs Go 1\.26 or newer"):
        binaries.build()


@pytest.mark.usefixtures("empty_cache")
def test_missing_programs_fail_and_name_the_target() -> None:
    """A test that needs the programs fails with the command that builds them."""
    with pytest.raises(binaries.MissingBinariesError, match="make interop"):
        binaries.find()


@pytest.mark.usefixtures("empty_cache")
def test_built_programs_are_not_built_again() -> None:
    """With these versions in the cache, Go is not even looked for."""
    built = binaries.binaries_in(binaries.cache_folder())
    for program in (built.otelcol, built.telemetrygen):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch()

    assert binaries.build() == built
    assert binaries.find() == built


def test_another_version_is_another_folder(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed pin never meets programs of the old one; both lie outside the repository."""
    before = binaries.cache_folder()

    monkeypatch.setattr(binaries, "TELEMETRYGEN", binaries.TELEMETRYGEN + "-next")

    assert binaries.cache_folder() != before
    assert empty_cache in before.parents


def test_pins_agree() -> None:
    """The builder and every core module of the manifest are of one version."""
    manifest = yaml.safe_load(binaries.MANIFEST.read_text())
    modules = [entry["gomod"] for group in ("receivers", "processors", "exporters")
               for entry in manifest[group]]  # fmt: skip

    version = binaries.BUILDER.partition("@v")[2]
    assert manifest["dist"]["version"] == version
    assert {module.partition(" v")[2] for module in modules} == {version}


@pytest.mark.usefixtures("empty_cache")
def test_a_missing_jaeger_fails_and_names_what_is_needed() -> None:
    """Go to build it, the target to run."""
    with pytest.raises(binaries.MissingBinariesError, match=r"needs Go 1\.26 or newer"):
        jaeger_programs.build()
    with pytest.raises(binaries.MissingBinariesError, match="make interop"):
        jaeger_programs.find()


def test_jaeger_is_built_anew_for_another_version_and_another_test(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The test is compiled into the program."""
    before = jaeger_programs.cache_folder()
    monkeypatch.setattr(jaeger_programs, "MODULE", jaeger_programs.MODULE + "-next")
    next_version = jaeger_programs.cache_folder()
    other = tmp_path / "other_test.go"
    other.write_text("package integration")
    monkeypatch.setattr(jaeger_programs, "SUITE", other)

    assert len({before, next_version, jaeger_programs.cache_folder()}) == 3


@pytest.mark.usefixtures("empty_cache")
def test_missing_node_fails_and_names_the_target() -> None:
    """As with the programs of Go, nothing is skipped."""
    with pytest.raises(binaries.MissingBinariesError, match="make interop"):
        node.find()


def test_javascript_is_pinned_by_hash_and_names_no_registry() -> None:
    """Every package has its integrity; where it comes from is the business of who installs it."""
    lock = json.loads((node.PACKAGES / "package-lock.json").read_text())
    packages = [entry for name, entry in lock["packages"].items() if name]

    assert packages
    assert all(entry["integrity"].startswith("sha512-") for entry in packages)
    assert not any("resolved" in entry for entry in packages)


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """What a step that failed has left is gone at the next attempt; what is there is not made again."""
    folder, made = tmp_path / "programs", list[list[Path]]()

    def fill(unfinished: Path) -> None:
        made.append(list(unfinished.iterdir()))
        (unfinished / "program").touch()
        if len(made) == 1:
            raise MissingBinariesError("a step failed")

    def make() -> None:
        make_once(folder, is_complete=(folder / "program").exists, fill=fill)

    with pytest.raises(MissingBinariesError):
        make()
    after_failure = folder.exists()
    make()
    make()

    assert not after_failure
    assert made == [[], []]
    assert [path.name for path in folder.iterdir()] == ["program"]
