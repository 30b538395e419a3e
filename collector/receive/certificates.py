"""The listeners' certificate and key: read at the start, and again when the files have changed.

The files are looked at once a second, beside all handshakes, which take what is in memory and wait
for no file: a mount whose server is away must cost nobody a handshake, and least of all the loop that
ingests. A renewed certificate therefore holds within a second (client certificates of a CA that was
taken out, too), and open connections go on as they are. Kubernetes renews by swapping a symbolic
link; certbot writes one file after the other. In between the two need not belong together: then the
pair in memory stays, and a line in the log says so once in a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from collector.errors import SettingsError
from collector.receive import hanging
from collector.receive.certificate_files import CertificateFiles, Material
from collector.settings import TlsSettings
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble

LOOK_S: Final = 1.0
"""Between two looks at the files."""
READ_S_MAX: Final = 5.0
"""Files that have not been read by then hang: a start gives up, a renewal waits in its thread."""


async def read_in_time(settings: TlsSettings) -> Material:
    """Return what the files hold, without blocking the loop and within ``READ_S_MAX``.

    Raises:
        SettingsError: they cannot be used, or do not answer; the text names the setting and file.
    """
    files = CertificateFiles(settings)
    try:
        material = await asyncio.wait_for(hanging.begin(files.read), READ_S_MAX)
    except TimeoutError:
        raise SettingsError(f"{files.at} does not answer within {READ_S_MAX:g} s") from None
    assert material is not None
    return material


class Certificates:
    """The present certificate of this process; once started, safe to ask from any thread."""

    def __init__(self, settings: TlsSettings, *, clock: Clock) -> None:
        """``settings`` have a certificate and its key; nothing is read yet."""
        self.settings = settings
        self._files = CertificateFiles(settings)
        self._current: Material | None = None
        self._failed = False
        self._log = structlog.stdlib.get_logger("otlpg.receive")
        self._trouble = Trouble("otlpg.receive", clock)

    async def start(self) -> None:
        """Read the files for the first time; bounded by ``READ_S_MAX``.

        Raises:
            SettingsError: they cannot be used, or do not answer; the text names the setting.
        """
        self._current = await read_in_time(self.settings)

    async def run(self) -> None:
        """Look for renewed files until cancelled; ``start`` came first."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.renew()

    def current(self) -> Material:
        """Return what the next handshake uses: the files' content, or the last that was good."""
        assert self._current is not None
        return self._current

    async def renew(self) -> None:
        """Look at the files once, and take what they hold if it has changed and can be used.

        Returns when the files have answered, however long that takes, so that there is never more
        than one thread that reads them. Files that hang are told once, and once more at their end.
        """
        seen = self.current().looks
        try:
            fresh = await self._answer_of(lambda: self._files.read(None if self._failed else seen))
        except Exception as error:  # noqa: BLE001 -- the loop: neither a file nor want of threads
            # may end the listeners, which have a certificate. Mostly it is a SettingsError.
            self._failed = True
            self._trouble.warn("certificate not read again", type(error).__name__, error=str(error))
            return
        self._failed = False
        self._current = fresh or self._current

    async def _answer_of(self, read: Callable[[], Material | None]) -> Material | None:
        reading = hanging.begin(read)
        try:
            await asyncio.wait((reading,), timeout=READ_S_MAX)
            if not reading.done():
                self._log.error(
                    "certificate not renewed: a file does not answer", file=self._files.at
                )
                await asyncio.wait((reading,))
                self._log.info("certificate files answer again")
            return await reading
        finally:
            reading.cancel()
