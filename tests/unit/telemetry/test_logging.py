"""One event is one line, short and printable, and never holds a secret."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from collector.settings import TelemetrySettings
from collector.telemetry.clock import Clock
from collector.telemetry.logging import KINDS_MAX, TEXT_CHARACTERS_MAX, Throttle, Trouble, configure


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Give the next test the logging that this one found."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the JSON lines that were logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class HandClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def unix_ns(self) -> int:
        """Return the set time."""
        return int(self.now_s * 1e9)

    def monotonic_s(self) -> float:
        """Return the set time."""
        return self.now_s


def configured(clock: Clock | None = None, **settings: Any) -> io.StringIO:
    """Return a stream that takes what is logged from now on, as JSON."""
    stream = io.StringIO()
    configure(
        TelemetrySettings(log_format="json", **settings),
        stream=stream,
        clock=clock or HandClock(),
        worker=3,
    )
    return stream


def test_an_event_is_one_json_line_with_level_logger_time_and_worker() -> None:
    """What a log pipeline needs stands in every line."""
    stream = configured()

    structlog.stdlib.get_logger("otlpg.test").info("listening", port=4317)

    (line,) = lines(stream)
    assert line["event"] == "listening"
    assert (line["level"], line["logger"]) == ("info", "otlpg.test")
    assert (line["port"], line["worker"]) == (4317, 3)
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("sign", ["\x1b[31m", "\r\n", "\x00", "\x7f", "\x85", "\u202e", "\u2028"])
def test_a_sender_cannot_steer_the_terminal_or_forge_a_line(sign: str) -> None:
    """Control, line and direction signs come out escaped, so a line is a line for every reader."""
    stream = configured()

    structlog.stdlib.get_logger("t").warning("quarantined", name=f"a{sign}b")

    (text,) = stream.getvalue().removesuffix("\n").split("\n")
    assert json.loads(text)["name"].isprintable()
    assert sign[0] not in json.loads(text)["name"]


def test_a_long_text_is_cut_and_says_so() -> None:
    """A line of a megabyte helps nobody and fills the disk."""
    stream = configured()

    structlog.stdlib.get_logger("t").warning("x", name="n" * 1_000_000, names=["n" * 9_000])

    assert len(stream.getvalue()) < 3 * TEXT_CHARACTERS_MAX
    assert lines(stream)[0]["name"].endswith("(1000000 characters)")


def test_no_secret_is_written() -> None:
    """By its key, inside a URL, inside a libpq string, in an exception, or as SecretStr."""
    stream = configured()
    log = structlog.stdlib.get_logger("t")

    log.info("a", password="hunter2", api_key="hunter2", dsn="postgresql://u:hunter2@h/d")
    log.info(
        "b", where="postgresql://otlpg:hunter2@db:5432/otlpg", other="host=db password=hunter2"
    )
    log.info("c", secret_value=SecretStr("hunter2"), nested={"url": "redis://:hunter2@r/0"})
    log.info("e", where="postgresql://otlpg:x@hunter2@db/otlpg")
    log.error("d", exc_info=ValueError("cannot open postgresql://otlpg:hunter2@db/otlpg"))

    assert "hunter2" not in stream.getvalue()
    assert (
        "ValueError: cannot open postgresql://otlpg:***@db/otlpg" in lines(stream)[-1]["exception"]
    )


def test_other_libraries_log_through_the_same_pipe() -> None:
    """asyncpg, grpc and asyncio use standard logging; their lines must be JSON as well."""
    stream = configured()

    logging.getLogger("asyncio").warning("slow callback %s", "\x1b[0m")

    (line,) = lines(stream)
    assert line["logger"] == "asyncio"
    assert line["event"] == "slow callback \\x1b[0m"


@pytest.mark.parametrize(("level", "shown"), [("debug", ["warn"]), ("error", [])])
def test_of_uvicorn_only_its_trouble_is_logged(level: str, shown: list[str]) -> None:
    """Its servers are parts of ours, whose start and end are logged already."""
    stream = configured(log_level=level)

    logging.getLogger("uvicorn.error").info("Started server process [1]")
    logging.getLogger("uvicorn.error").warning("warn")

    assert [line["event"] for line in lines(stream)] == shown


def test_the_level_holds_for_both_kinds_of_loggers() -> None:
    """A warning level silences info."""
    stream = configured(log_level="warning")

    structlog.stdlib.get_logger("t").info("no")
    logging.getLogger("t").info("no")
    structlog.stdlib.get_logger("t").warning("yes")

    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_a_terminal_gets_the_readable_form() -> None:
    """``auto`` asks the stream."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    configure(TelemetrySettings(), stream=stream)

    structlog.stdlib.get_logger("t").info("listening", port=4317)

    assert not stream.getvalue().startswith("{")
    assert "listening" in stream.getvalue()


@pytest.mark.parametrize(
    ("no_color", "term", "coloured"),
    [("1", "xterm", False), ("", "xterm", True), ("", "dumb", False), ("", "", True)],
)
def test_no_color_is_obeyed(
    no_color: str, term: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sets it to anything reads no escape sequences, nor does a terminal without any.

    Spec: no-color.org.
    """

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", term)
    stream = Terminal()
    configure(TelemetrySettings(), stream=stream)

    structlog.stdlib.get_logger("t").info("listening", port=4317)

    assert ("\x1b[" in stream.getvalue()) is coloured


def test_a_flood_of_one_trouble_is_one_line_per_interval() -> None:
    """Another kind is not silenced by it, and the next line says how many were left out."""
    stream = configured()
    clock = HandClock()
    trouble = Trouble("otlpg.test", clock, every_s=10.0)

    made: list[int] = []  # an example costs something only when its line is written

    for _ in range(1000):
        trouble.warn("items quarantined", "nul", items=7, example=lambda: made.append(1) or "name")
    assert made == [1]
    trouble.warn("items quarantined", "too_deep")
    clock.now_s = 10.0
    trouble.warn("items quarantined", "nul", items=8)

    first, other, second = lines(stream)
    assert (first["cause"], other["cause"], second["cause"]) == ("nul", "too_deep", "nul")
    assert (first["items"], second["items"]) == (7, 8)
    assert first["example"] == "name"
    assert (first["more_like_this"], second["more_like_this"]) == (0, 999)


def test_a_flood_of_another_library_is_one_line_per_interval() -> None:
    """Whatever comes after the first line or in the arguments: it is the same trouble."""
    clock = HandClock()
    stream = configured(clock)
    asyncio_log = logging.getLogger("asyncio")

    for number in range(1000):
        asyncio_log.error("out of descriptors\nsocket: %s", number)
    asyncio_log.error("something else")
    clock.now_s = 10.0
    asyncio_log.error("out of descriptors\nsocket: 7")

    first, other, second = lines(stream)
    assert first["event"] == "out of descriptors\\nsocket: 0"
    assert other["event"] == "something else"
    assert (first["more_like_this"], second["more_like_this"]) == (0, 999)


def test_ever_new_kinds_of_trouble_cost_bounded_memory() -> None:
    """A library's text that holds a number is a new kind each time; old ones are forgotten."""
    throttle = Throttle(HandClock())

    told = [throttle.unsaid(("asyncio", f"trouble {number}")) for number in range(10 * KINDS_MAX)]

    assert told == [0] * len(told)
    assert throttle.kinds <= KINDS_MAX


def test_information_and_our_own_events_are_never_left_out() -> None:
    """Ours say themselves how often they are told."""
    stream = configured(log_level="debug")

    for _ in range(3):
        logging.getLogger("aiohttp.server").info("started")
        structlog.stdlib.get_logger("otlpg.test").error("worker died")

    assert len(lines(stream)) == 6


def test_a_line_can_be_escaped_without_opening_a_file() -> None:
    """The codec is here before descriptors are used up: asyncio's line about that needs it."""
    source = (
        "import collector.telemetry.logging, sys; print('encodings.unicode_escape' in sys.modules)"
    )

    said = subprocess.run([sys.executable, "-c", source], capture_output=True, check=True)

    assert said.stdout == b"True\n"
