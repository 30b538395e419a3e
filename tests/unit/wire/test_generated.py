"""The generated twins are those of ``proto``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


def generator() -> ModuleType:
    """Return ``proto/generate.py``, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location(
        "proto_generate", REPOSITORY / "proto" / "generate.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_current(tmp_path: Path) -> None:
    """``make proto`` would change nothing."""
    written: list[Path] = generator().generate(tmp_path)

    assert len(written) == 10
    for path in written:
        committed = REPOSITORY / path.relative_to(tmp_path)
        assert committed.read_text() == path.read_text(), f"run `make proto`: {committed}"


def test_every_generated_file_has_a_source() -> None:
    """No twin outlives its .proto file."""
    generated = {path.stem for path in (REPOSITORY / "collector" / "wire").glob("*_pb2.py*")}
    sources = {f"{path.stem}_pb2" for path in (REPOSITORY / "proto").rglob("*.proto")}

    assert generated == sources


def test_sources_that_do_not_compile_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A broken .proto file cannot leave old twins behind unnoticed."""
    module = generator()
    (tmp_path / "broken.proto").write_text('syntax = "proto3"; message {')
    monkeypatch.setattr(module, "PROTO", tmp_path)

    with pytest.raises(module.ProtocError):
        module.generate(tmp_path)

    assert "broken.proto" in capfd.readouterr().err
