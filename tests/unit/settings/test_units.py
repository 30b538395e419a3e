"""settings.units: sizes and durations in every spelling with one meaning."""

from __future__ import annotations

import pytest

from collector.settings.units import bytes_from_text, duration_from_text

SECONDS = duration_from_text(1, "seconds")
HOURS = duration_from_text(3600, "hours")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 2**20),
        ("256MiB", 256 * 2**20),
        ("256 MiB", 256 * 2**20),
        (" 1.5GiB ", 3 * 2**29),
        ("64Ki", 65_536),
        ("5MB", 5_000_000),
        ("7kB", 7_000),
        ("9B", 9),
        (12, 12),
    ],
)
def test_size(text: object, size: int) -> None:
    """A size is bytes, exactly; a number stays what it is."""
    assert bytes_from_text(text) == size
    assert isinstance(bytes_from_text(text), int)


@pytest.mark.parametrize("text", ["", "MiB", "12M", "12mib", "1e3", "0x10", "1_000", "5 s"])
def test_text_that_is_no_size_is_refused(text: str) -> None:
    """``12M`` has two meanings and the others have none."""
    with pytest.raises(ValueError, match="256MiB"):
        bytes_from_text(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5), ("0.5", 0.5), ("500ms", 0.5), ("1.5s", 1.5), ("2min", 120), ("1h", 3600)],
)
def test_duration_in_seconds(text: str, seconds: float) -> None:
    """A bare number is in the setting's own unit."""
    assert SECONDS(text) == seconds


@pytest.mark.parametrize(("text", "hours"), [("24", 24), ("1d", 24), ("90min", 1.5), ("6h", 6)])
def test_duration_in_hours(text: str, hours: float) -> None:
    """The same spellings, counted in hours."""
    assert HOURS(text) == hours
