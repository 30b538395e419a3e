"""The network is slow, cuts what it carries into slices, breaks, or swallows, under load.

On either side of otlpg: between it and PostgreSQL, and between its senders and it.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from collector.settings import DatabaseSettings
from tests.e2e.daemon import Daemon
from tests.fault.proxy import FINE, Proxy, Weather, wire_to
from tests.fault.sender import RecordingSender
from tests.fault.stage import RUN_S_MAX, Fault, run_under, serves_again

ACKNOWLEDGED_IN_BAD_WEATHER = 20
ACKNOWLEDGED_BETWEEN_CUTS_MAX = 30
SLICED = Weather(sliced=True)
SWALLOWING_S = 1.5
IMPATIENT = {
    "OTLPG_DATABASE__STATEMENT_S_MAX": "1",  # and two seconds of grace
    "OTLPG_DATABASE__CONNECT_S_MAX": "1",
}
LONG_RUNS = 4
POLL_S = 0.01


async def cut(wire: Proxy) -> None:
    """Cut whatever there is, and wait for it where there is nothing: bad weather broke it before us."""
    while not wire.cut():  # noqa: ASYNC110 -- another process connects
        await asyncio.sleep(POLL_S)


def worsen(wire: Proxy, rounds: int) -> Fault:
    """Return the fault of a wire that is bad, breaks while it is, and is fine again."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for number in range(rounds):
            wire.weather = SLICED if number == 0 else Weather.drawn(rng)
            await sender.acknowledged(ACKNOWLEDGED_IN_BAD_WEATHER)
            await cut(wire)
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_CUTS_MAX))
            wire.weather = FINE
            await cut(wire)
            await serves_again(sender)

    return fault


def swallow(wire: Proxy) -> Fault:
    """Return the fault of a wire that takes everything and delivers nothing, then loses it all."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for weather in (Weather(swallow_up=True), Weather(swallow_down=True)):
            await sender.acknowledged(rng.randint(1, ACKNOWLEDGED_BETWEEN_CUTS_MAX))
            wire.weather = weather
            await asyncio.sleep(SWALLOWING_S)  # it is the hazard
            wire.weather = FINE
            wire.cut()
            await serves_again(sender)

    return fault


def both(wire: Proxy, rounds: int) -> Fault:
    """Return bad weather and then black holes."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        await worsen(wire, rounds)(daemon, sender, rng)
        await swallow(wire)(daemon, sender, rng)

    return fault


async def test_a_bad_network_to_postgres_loses_and_repeats_nothing(
    durable_database: DatabaseSettings,
) -> None:
    """Every message of PostgreSQL's protocol comes in pieces, late, or never."""
    async with wire_to(durable_database, seed=8) as (wire, to_postgres):
        verdict = await run_under(
            both(wire, 2), to_postgres, seed=8, judged=durable_database, environment=IMPATIENT
        )

    verdict.assert_promises_kept()
    assert verdict.acknowledged > 2 * ACKNOWLEDGED_IN_BAD_WEATHER


async def test_a_bad_network_to_senders_loses_and_repeats_nothing(
    durable_database: DatabaseSettings,
) -> None:
    """Every frame of HTTP/2 comes in pieces, late, or never; a reply that is lost is sent again."""
    async with Proxy(seed=9) as wire:
        verdict = await run_under(both(wire, 2), durable_database, seed=9, through=wire)

    verdict.assert_promises_kept()
    assert verdict.acknowledged > 2 * ACKNOWLEDGED_IN_BAD_WEATHER


@pytest.mark.long
@pytest.mark.timeout(RUN_S_MAX)
@pytest.mark.parametrize("seed", range(800, 800 + LONG_RUNS))
async def test_a_bad_network_on_both_sides_loses_and_repeats_nothing(
    durable_database: DatabaseSettings, seed: int
) -> None:
    """Bad weather of many kinds on both wires, in turn."""

    async def fault(daemon: Daemon, sender: RecordingSender, rng: Random) -> None:
        for wire in rng.sample((senders, postgres), 2):
            await both(wire, 4)(daemon, sender, rng)

    async with (
        Proxy(seed=seed) as senders,
        wire_to(durable_database, seed=seed) as (postgres, to_postgres),
    ):
        verdict = await run_under(
            fault,
            to_postgres,
            seed=seed,
            judged=durable_database,
            through=senders,
            environment=IMPATIENT,
        )

    verdict.assert_promises_kept()
