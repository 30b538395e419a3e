"""The API keys in memory, so that a check costs microseconds and no question to PostgreSQL.

Promises: a new key works at once, a revoked one stops within ``auth.refresh_s``, and senders whose
key is known go on while PostgreSQL is away, for ``auth.stale_s_max``. Not knowing is never "no": a
key that cannot be looked up is UNAVAILABLE, which a sender retries, and not UNAUTHENTICATED, for
which it throws its data away. That holds as well for keys that a reading left out because there
are more than ``KEYS_MAX``.

A PostgreSQL that answers and will not show the keys (no right, no table) is no outage: it stores
what senders bring, so revoked keys would go on for a day, and waiting mends nothing. Then known keys
go on for ``REFUSED_S_MAX`` only, and the daemon is not ready.

A key that does not match (unknown, or with another secret: time tells nobody which) is looked at
again after the next reading. Such readings come at most once a second however many ask, and as many
askers wait as ``WAITING_MAX``: a flood of wrong keys costs PostgreSQL one small query a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Final

from collector.errors import (
    ForbiddenError,
    KeysAwayError,
    RetryableStoreError,
    StoreError,
    UnauthenticatedError,
    UnlistedStoreError,
)
from collector.receive.token import Scope, Token
from collector.rows import PG_EPOCH_UNIX_US
from collector.settings import AuthSettings
from collector.store.api_keys import KEYS_MAX, LiveKey
from collector.store.failures import translate
from collector.telemetry.clock import Clock
from collector.telemetry.logging import Trouble
from collector.telemetry.probe import Probe

EARLY_S_MIN: Final = 1.0
"""Between two readings, however many unknown keys come."""
REFUSED_S_MAX: Final = 60.0
"""Known keys go on so long after PostgreSQL first refused to show them: time for a migration that
is under way, or for a GRANT."""
WAIT_S_MAX: Final = 3.0
"""An unknown key waits this long for the next reading."""
WAITING_MAX: Final = 256
"""Calls that wait for it; beyond, they are told to come again."""

_REMEDY: Final = (
    "as the owner of the tables: `otlpg migrate up`, or GRANT SELECT ON api_keys to the daemon's "
    "role; `otlpg check` looks closer"
)
_NOBODY: Final = LiveKey("", frozenset(), bytes(32), None)
"""What an unknown key is compared with: no secret has this hash."""


class Keyring:
    """The keys of one process.

    ``read`` gives those that are neither revoked nor expired, and more than ``KEYS_MAX`` of them
    where there are more than it gave.
    """

    def __init__(
        self,
        settings: AuthSettings,
        read: Callable[[], Awaitable[list[LiveKey]]],
        *,
        clock: Clock,
        probe: Probe,
        early_s_min: float = EARLY_S_MIN,
    ) -> None:
        self._settings = settings
        self._read = read
        self._clock = clock
        self._probe = probe
        self._early_s_min = early_s_min
        self._keys: dict[str, LiveKey] = {}
        self._read_at_s: float | None = None  # when the reading began that the keys are from
        self._whole = False  # whether the latest reading saw every valid key
        self._refused_at_s: float | None = None  # since when PostgreSQL will not show them
        self._wanted = asyncio.Event()
        self._next = asyncio.Event()
        self._waiting = 0
        self._trouble = Trouble("otlpg.receive", clock)

    @property
    def usable(self) -> bool:
        """Whether keys were read within ``stale_s_max``, and not refused for ``REFUSED_S_MAX``."""
        read_at_s, refused_at_s = self._read_at_s, self._refused_at_s
        now_s = self._clock.monotonic_s()
        return (
            read_at_s is not None
            and now_s - read_at_s <= self._settings.stale_s_max
            and (refused_at_s is None or now_s - refused_at_s <= REFUSED_S_MAX)
        )

    @property
    def ready(self) -> bool:
        """Whether keys are usable and PostgreSQL, when it answers, shows them."""
        return self.usable and self._refused_at_s is None

    @property
    def count(self) -> int:
        """How many keys are known."""
        return len(self._keys)

    async def run(self) -> None:
        """Read the keys until cancelled: every ``refresh_s``, earlier when one is not known."""
        while True:
            await self.refresh()
            await self._probe.reach("keys.read")
            await asyncio.sleep(self._early_s_min)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._settings.refresh_s - self._early_s_min)):
                    await self._wanted.wait()

    async def refresh(self) -> None:
        """Read the keys once; when that fails, what is known stays."""
        # Who asks from here on waits for the reading after this one, which may not see their key.
        done, self._next = self._next, asyncio.Event()
        self._wanted.clear()
        began_s = self._clock.monotonic_s()
        try:
            keys = await self._read()
        except Exception as error:  # noqa: BLE001 -- whatever it is, the keys were not read
            self._whole = False
            self._not_read(translate(error), began_s)
        else:
            self._whole = len(keys) <= KEYS_MAX
            self._read_at_s, self._refused_at_s = began_s, None
            self._keys = {key.id: key for key in keys[:KEYS_MAX]}
            if not self._whole:
                self._trouble.error("too many keys: the oldest are told to come again", "keys_max",
                                    keys_max=KEYS_MAX,
                                    hint="revoke keys that nobody uses")  # fmt: skip
        finally:
            done.set()

    def _not_read(self, failure: StoreError, began_s: float) -> None:
        """Tell of a failed reading; one that was refused begins the end of what is known."""
        cause = failure.sqlstate or type(failure).__name__
        if _is_outage(failure):
            self._trouble.warn("keys not read", cause, error=str(failure), usable=self.usable)
            return
        if self._refused_at_s is None:
            self._refused_at_s = began_s
        self._trouble.error("PostgreSQL does not show the keys", cause, error=str(failure),
                            usable=self.usable, hint=_REMEDY)  # fmt: skip

    async def check(self, text: str, allowed: frozenset[Scope]) -> bytes:
        """Return the credential id of a key that may do what one of ``allowed`` may.

        Raises:
            UnauthenticatedError: it is no key, or not a valid one.
            ForbiddenError: it is valid, for something else.
            KeysAwayError: nobody can tell now.
        """
        token = Token.parse(text)
        if not self.usable:
            self._wanted.set()
            raise KeysAwayError
        key = self._match(token)
        if key is None:
            await self._next_reading()
            key = self._match(token)
        if key is None:
            raise UnauthenticatedError if self._whole else KeysAwayError
        if not key.scopes & allowed:
            wanted = " or ".join(sorted(allowed))
            raise ForbiddenError(f"this API key lacks the scope {wanted}")
        return key.id.encode()

    def _match(self, token: Token) -> LiveKey | None:
        """Return the key whose secret this is, unless it has expired since it was read."""
        key = self._keys.get(token.id, _NOBODY)
        if not hmac.compare_digest(token.hash, key.hash):
            return None
        now_us = self._clock.unix_ns() // 1000 - PG_EPOCH_UNIX_US
        return key if key.expires_us is None or now_us < key.expires_us else None

    async def _next_reading(self) -> None:
        """Return after a reading that began from now on, or after ``WAIT_S_MAX``.

        Raises:
            KeysAwayError: it did not come, or too many wait for it.
        """
        if self._waiting >= WAITING_MAX:
            raise KeysAwayError
        self._waiting += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await self._next.wait()
        except TimeoutError:
            raise KeysAwayError from None
        finally:
            self._waiting -= 1


def _is_outage(failure: StoreError) -> bool:
    """Tell whether the server is away or busy, which time mends: no missing right or table."""
    return (
        isinstance(failure, RetryableStoreError)
        and not isinstance(failure, UnlistedStoreError)
        and not failure.sqlstate.startswith("42")
    )
