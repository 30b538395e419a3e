"""The one daemon that the whole catalogue is tried on."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from collector.store.embedded import EmbeddedPostgres
from tests.catalogue.sending import Senders
from tests.catalogue.stand import Stand
from tests.conftest import TEMPLATE, fresh_database
from tests.e2e.daemon import Daemon


@pytest.fixture(scope="module")
def stand(postgres_server: EmbeddedPostgres) -> Generator[Stand]:
    """A daemon of one worker on a database of this module's own; its log is read at the end."""
    with asyncio.Runner() as runner:
        databases = fresh_database(postgres_server, TEMPLATE)
        settings = runner.run(anext(databases))
        try:
            with Daemon(settings) as daemon, Senders(daemon.grpc_port, daemon.http_port) as senders:
                there = Stand(runner, settings, daemon, senders)
                yield there
                there.close()
            there.assert_log_is_clean()
            print(f"\n{there.summary()}")  # noqa: T201 -- shown with -s
        finally:
            runner.run(databases.aclose())
