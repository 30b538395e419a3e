"""Who may read: whoever has a key or a certificate; where neither is asked for, this machine alone."""

from __future__ import annotations

from functools import partial
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from collector.errors import ForbiddenError
from collector.receive.auth import TO_READ, Gate
from collector.receive.http_protocol import PEER_NAMES
from collector.settings import Settings
from collector.settings.models import is_loopback

CLIENT: Final = "client"
"""In the state of a request that may read: whose it is, as ``Admission.check`` says."""


class Admission:
    """The check of every route, and again and again of a stream that stays open.

    Without keys and client certificates a listener on loopback takes loopback names alone: a web
    page whose own name was made to lead here (DNS rebinding) would otherwise read everything.
    """

    def __init__(self, gate: Gate, settings: Settings) -> None:
        self._gate = gate
        self._is_anonymous = not gate.asks_for_keys and settings.tls.client_ca_file is None
        self._names_matter = self._is_anonymous and is_loopback(settings.api.host)

    async def check(self, request: Request) -> str:
        """Return whose the request is, which may read: its key's, or else its address's.

        Raises:
            UnauthenticatedError: no valid key.
            ForbiddenError: a key for something else, another client, or a page of another site.
            KeysAwayError: the keys cannot be read.
        """
        if self._names_matter:
            _check_names(request)
        names = partial(getattr, request.state, PEER_NAMES)
        credential = await self._gate.admit(request.headers.items, names, allowed=TO_READ)
        address = "" if request.client is None else request.client.host
        return credential.hex() or address


def _check_names(request: Request) -> None:
    for url in (f"//{request.headers.get('host', '')}", request.headers.get("origin")):
        if url is not None and not _is_local(url):
            raise ForbiddenError("without keys only loopback names are taken, as Host and Origin")


def _is_local(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
