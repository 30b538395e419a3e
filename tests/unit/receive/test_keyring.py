"""The keys in memory: what matches, what waits for the next reading, what happens without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from collector.errors import (
    ForbiddenError,
    KeysAwayError,
    RetryableStoreError,
    StoreError,
    StoreUnavailableError,
    UnauthenticatedError,
    UnlistedStoreError,
)
from collector.receive import keyring as subject
from collector.receive.keyring import Keyring
from collector.receive.token import Scope, Token
from collector.rows import PG_EPOCH_UNIX_US
from collector.settings import AuthSettings
from collector.store.api_keys import LiveKey
from collector.telemetry.probe import TestProbe
from tests.clocks import HandClock

INGEST = frozenset({Scope.INGEST})


class Table:
    """A table of keys that can go away."""

    def __init__(self) -> None:
        self.keys: list[LiveKey] = []
        self.away = False
        self.refusal: StoreError | None = None
        self.readings = 0

    async def read(self) -> list[LiveKey]:
        """Return the keys, as PostgreSQL would."""
        self.readings += 1
        if self.away:
            raise StoreUnavailableError("no answer")
        if self.refusal is not None:
            raise self.refusal
        return list(self.keys)

    def add(self, *scopes: Scope, expires_us: int | None = None) -> Token:
        """Make a key."""
        token = Token.new()
        allowed = frozenset(str(scope) for scope in scopes or (Scope.INGEST,))
        self.keys.append(LiveKey(token.id, allowed, token.hash, expires_us))
        return token


class Rig:
    """A keyring that runs, with a clock that stands still and no pause between readings."""

    def __init__(self) -> None:
        self.table, self.clock, self.probe = Table(), HandClock(), TestProbe()
        self.settings = AuthSettings(keys=True, refresh_s=3600, stale_s_max=7200)
        self.keyring = Keyring(
            self.settings, self.table.read, clock=self.clock, probe=self.probe, early_s_min=0.0
        )

    async def check(self, token: Token, allowed: frozenset[Scope] = INGEST) -> bytes:
        """Check the key as a request does."""
        return await self.keyring.check(token.text, allowed)


@pytest.fixture
async def rig() -> AsyncGenerator[Rig]:
    """A running keyring that has read an empty table."""
    running = Rig()
    task = asyncio.create_task(running.keyring.run())
    await running.probe.reached("keys.read")
    yield running
    task.cancel()
    await asyncio.wait((task,))


async def test_a_key_made_after_the_reading_works_at_once(rig: Rig) -> None:
    """Its first request brings the next reading forward, and its next ones read nothing."""
    token = rig.table.add()

    assert await rig.check(token) == token.id.encode()
    readings = rig.table.readings
    assert await rig.check(token) == token.id.encode()
    assert rig.table.readings == readings


async def test_a_flood_of_wrong_keys_costs_one_reading(rig: Rig) -> None:
    """Those that wait share it."""
    before = rig.table.readings
    strangers = [rig.check(Token.new()) for _ in range(100)]

    heard = await asyncio.gather(*strangers, return_exceptions=True)

    assert {type(error) for error in heard} == {UnauthenticatedError}
    assert rig.table.readings == before + 1


async def test_too_many_waiting_are_told_to_come_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never that their key is wrong: nobody has looked."""
    monkeypatch.setattr(subject, "WAITING_MAX", 2)
    strangers = [rig.check(Token.new()) for _ in range(3)]

    heard = await asyncio.gather(*strangers, return_exceptions=True)

    assert [type(error) for error in heard] == [
        UnauthenticatedError, UnauthenticatedError, KeysAwayError,
    ]  # fmt: skip


async def test_a_known_id_with_another_secret_takes_the_same_way(rig: Rig) -> None:
    """Time does not tell which ids exist."""
    known = rig.table.add()
    await rig.check(known)
    before = rig.table.readings

    with pytest.raises(UnauthenticatedError):
        await rig.check(Token(known.id, Token.new().secret))

    assert rig.table.readings == before + 1


async def test_a_revoked_key_ends_with_the_next_reading(rig: Rig) -> None:
    """What is not in the table of live keys is no key."""
    token = rig.table.add()
    await rig.check(token)
    rig.table.keys.clear()
    await rig.check(token)  # not read yet
    await rig.keyring.refresh()

    with pytest.raises(UnauthenticatedError):
        await rig.check(token)


async def test_a_key_expires_between_two_readings(rig: Rig) -> None:
    """At its microsecond, by the worker's clock."""
    now_us = rig.clock.unix_ns() // 1000 - PG_EPOCH_UNIX_US
    token = rig.table.add(expires_us=now_us + 1_000_000)
    await rig.check(token)
    rig.clock.move(timedelta(seconds=1.0))

    with pytest.raises(UnauthenticatedError):
        await rig.check(token)


@pytest.mark.parametrize("scope", [Scope.QUERY, Scope.ADMIN])
async def test_no_scope_includes_another(rig: Rig, scope: Scope) -> None:
    """Not even admin; the error names what is lacking and nothing of the key."""
    token = rig.table.add(scope)

    with pytest.raises(ForbiddenError) as caught:
        await rig.check(token)

    assert "ingest" in str(caught.value)
    assert token.secret not in str(caught.value)
    assert await rig.check(token, frozenset({Scope.QUERY, Scope.ADMIN}))


async def test_while_the_table_is_away_known_keys_go_on_and_others_may_come_again(
    rig: Rig,
) -> None:
    """For stale_s_max after the last good reading; then nobody can be told anything."""
    token = rig.table.add()
    await rig.check(token)
    rig.table.away = True
    await rig.keyring.refresh()

    assert await rig.check(token)
    with pytest.raises(KeysAwayError):
        await rig.check(Token.new())
    rig.clock.move(timedelta(seconds=rig.settings.stale_s_max + 1))
    assert not rig.keyring.usable
    with pytest.raises(KeysAwayError):
        await rig.check(token)

    rig.table.away = False
    await rig.keyring.refresh()
    assert await rig.check(token)


async def test_before_the_first_reading_nobody_is_refused_for_good() -> None:
    """A daemon that starts while PostgreSQL is away knows nobody yet."""
    rig = Rig()

    with pytest.raises(KeysAwayError):
        await rig.check(Token.new())
    with pytest.raises(UnauthenticatedError):
        await rig.keyring.check("no key at all", INGEST)


async def test_a_reading_that_never_ends_is_not_waited_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen PostgreSQL costs an unknown caller a bounded time."""
    monkeypatch.setattr(subject, "WAIT_S_MAX", 0.01)
    rig.probe.hold("keys.read")
    with pytest.raises(UnauthenticatedError):
        await rig.check(Token.new())  # the reading itself still comes

    with pytest.raises(KeysAwayError):
        await rig.check(Token.new())

    rig.probe.release("keys.read")


async def test_a_reading_that_was_cut_tells_nobody_that_a_key_is_wrong(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key may be among those that were left out; with as many as are kept nothing is missing."""
    monkeypatch.setattr(subject, "KEYS_MAX", 2)
    newest, other, oldest = rig.table.add(), rig.table.add(), rig.table.add()
    with capture_logs() as lines:
        await rig.keyring.refresh()
        await rig.keyring.refresh()

    assert await rig.check(newest)
    assert await rig.check(other)
    assert rig.keyring.count == 2
    for left_out in (oldest, Token.new(), Token(newest.id, Token.new().secret)):
        with pytest.raises(KeysAwayError):
            await rig.check(left_out)
    (line,) = lines
    assert line["log_level"] == "error"
    assert "revoke" in line["hint"]

    rig.table.keys.pop()
    await rig.keyring.refresh()
    assert await rig.check(other)
    with pytest.raises(UnauthenticatedError):
        await rig.check(oldest)


REFUSALS = [
    RetryableStoreError("InsufficientPrivilegeError (42501)", sqlstate="42501"),
    RetryableStoreError("UndefinedTableError (42P01)", sqlstate="42P01"),
    StoreError("InvalidSchemaNameError (3F000)", sqlstate="3F000"),
    UnlistedStoreError("unexpected KeyError"),
]
"""A server that answers, and gives no keys: nothing that waiting mends."""


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_a_refused_reading_is_no_outage(rig: Rig, refusal: StoreError) -> None:
    """Not ready at once; known keys, which may be revoked by now, go on for a minute more."""
    token = rig.table.add()
    await rig.check(token)
    rig.table.refusal = refusal
    with capture_logs() as lines:
        await rig.keyring.refresh()

    assert not rig.keyring.ready
    assert [line["log_level"] for line in lines] == ["error"]
    assert "GRANT SELECT ON api_keys" in lines[0]["hint"]
    rig.clock.move(timedelta(seconds=subject.REFUSED_S_MAX))
    assert await rig.check(token)
    rig.clock.move(timedelta(seconds=0.1))
    with pytest.raises(KeysAwayError):
        await rig.check(token)

    rig.table.refusal = None
    await rig.keyring.refresh()
    assert rig.keyring.ready
    assert await rig.check(token)


async def test_an_outage_after_a_refusal_gives_no_more_time(rig: Rig) -> None:
    """The minute runs from the first refusal until keys are read again, whatever else fails."""
    token = rig.table.add()
    await rig.check(token)
    rig.table.refusal = REFUSALS[0]
    await rig.keyring.refresh()
    rig.table.away = True
    rig.clock.move(timedelta(seconds=subject.REFUSED_S_MAX))
    await rig.keyring.refresh()
    rig.clock.move(timedelta(seconds=1))

    assert not rig.keyring.ready
    with pytest.raises(KeysAwayError):
        await rig.check(token)


async def test_an_outage_leaves_the_keyring_ready(rig: Rig) -> None:
    """As long as known keys are taken."""
    rig.table.away = True
    await rig.keyring.refresh()
    assert rig.keyring.ready

    rig.clock.move(timedelta(seconds=rig.settings.stale_s_max + 1))
    assert not rig.keyring.ready


async def test_who_asks_in_vain_brings_the_next_reading_forward(rig: Rig) -> None:
    """With readings an hour apart, nobody waits an hour after PostgreSQL came back."""
    token = rig.table.add()
    rig.clock.move(timedelta(seconds=rig.settings.stale_s_max + 1))
    with pytest.raises(KeysAwayError):
        await rig.check(token)

    await rig.probe.reached("keys.read", times=2)
    assert await rig.check(token)
