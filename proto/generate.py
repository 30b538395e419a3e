"""Generate ``collector/wire`` from ``proto``; run by ``make proto``, and by the test of currency."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import cast

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
REPOSITORY = PROTO.parent


class ProtocError(Exception):
    """The compiler refused the files under ``proto``; its own words are on stderr."""


def generate(folder: Path) -> list[Path]:
    """Write the twins' modules and their types below ``folder``, and return the written paths.

    Shape: ``proto/collector/wire/x.proto`` becomes ``collector/wire/x_pb2.py`` and ``.pyi``.

    Raises:
        ProtocError: the files under ``proto`` do not compile.
    """
    sources = sorted(path.relative_to(PROTO) for path in PROTO.rglob("*.proto"))
    arguments = [
        "protoc",
        f"--proto_path={PROTO}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--plugin=protoc-gen-mypy={Path(sys.executable).parent / 'protoc-gen-mypy'}",
        f"--python_out={folder}",
        f"--mypy_out=quiet:{folder}",
        *map(str, sources),
    ]
    run = cast("Callable[[list[str]], int]", protoc.main)  # pyright: ignore[reportUnknownMemberType]
    if run(arguments) != 0:
        raise ProtocError
    return [
        folder / source.with_name(f"{source.stem}_pb2{suffix}")
        for source in sources
        for suffix in (".py", ".pyi")
    ]


if __name__ == "__main__":
    for path in generate(REPOSITORY):
        sys.stdout.write(f"{path.relative_to(REPOSITORY)}\n")
