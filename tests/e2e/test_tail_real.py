"""`otlpg tail` on a real terminal, beside a real daemon: what is sent is shown, whatever dies."""

from __future__ import annotations

from collector.rows import Signal
from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.e2e.senders import Caller, numbered_logs
from tests.terminal import CTRL_C, Terminal


def test_a_tail_outlives_the_api(database_settings: DatabaseSettings) -> None:
    """Stored items, live ones, and those that come after the API was killed and is back."""
    with (
        Daemon(database_settings, workers=2, OTLPG_API__ENABLED="true") as daemon,
        Caller(daemon.grpc_port) as caller,
    ):

        def send(number: int) -> None:
            assert caller.send(Signal.LOGS, numbered_logs([number])) == b""

        send(1_001)
        url = f"http://127.0.0.1:{daemon.api_port}"
        with Terminal(["tail", "logs", "-n", "5", "--utc", "--url", url]) as terminal:
            terminal.wait_for("1001")
            send(1_002)
            terminal.wait_for("1002")
            daemon.api().kill()
            terminal.wait_for("-- connected again")
            for number in range(2_000, 5_000):  # workers find the new API by themselves, soon
                send(number)
                if " - - 2" in terminal.text():
                    break
            terminal.press(CTRL_C)
            shown = terminal.text()

            assert terminal.wait() == 0
    assert [shown.count(body) for body in ("1001", "1002")] == [1, 1]
    assert " - - 2" in shown
    assert "-- connection lost: " in shown
