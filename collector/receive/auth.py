"""Who may come in: the key in a request's head, and the names in the certificate of its sender.

Checked before a slot is taken and before a byte of the body is read, so whoever has no key costs a
head and no more. A key comes as ``authorization: Bearer <key>`` or as ``x-api-key: <key>``, in one
header and once: of two it is not known which one counts. A key in the address is not looked for, as
addresses end up in logs.

Spec: RFC 6750, section 2.1; RFC 9110, section 11.1 (the scheme's case does not matter).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from collector.errors import ForbiddenError, UnauthenticatedError
from collector.receive.keyring import Keyring
from collector.receive.token import Scope
from collector.settings import TlsSettings

TO_INGEST: Final = frozenset({Scope.INGEST})
TO_READ: Final = frozenset({Scope.QUERY, Scope.ADMIN})

CHALLENGE: Final = "Bearer"
"""Of WWW-Authenticate, which a 401 must have. Without ``error=``: no hint for who guesses."""

_BEARER: Final = re.compile(r"bearer +([^ ]+)", re.ASCII | re.IGNORECASE)


def find_token(headers: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the one credential of a request, whatever it is worth.

    Shape: names in lower case, as both protocols give them.

    Raises:
        UnauthenticatedError: there is none, more than one, or one in another form.
    """
    found: list[str] = []
    for name, value in headers:
        if name == "x-api-key" and isinstance(value, str):
            found.append(value)
        elif name == "authorization":
            bearer = _BEARER.fullmatch(value) if isinstance(value, str) else None
            if bearer is None:
                raise UnauthenticatedError
            found.append(bearer[1])
    if len(found) != 1:
        raise UnauthenticatedError
    return found[0]


class Gate:
    """Lets senders in, or not; without keys and names in the settings it lets everybody in."""

    def __init__(self, tls: TlsSettings, keyring: Keyring | None) -> None:
        self._names = frozenset(tls.client_names)
        self._keyring = keyring

    @property
    def asks_for_keys(self) -> bool:
        """Whether a request needs a key."""
        return self._keyring is not None

    async def admit(
        self,
        headers: Callable[[], Iterable[tuple[str, str | bytes]]],
        names: Callable[[], Iterable[str]],
        *,
        allowed: frozenset[Scope] = TO_INGEST,
    ) -> bytes:
        """Return the credential id of a request, empty where no key is asked for.

        ``names`` are those of the sender's certificate; neither is asked for unless it counts.

        Raises:
            UnauthenticatedError: no valid key.
            ForbiddenError: a valid key for something else, or a sender that is not on the list.
            KeysAwayError: the keys cannot be read.
        """
        if self._names and self._names.isdisjoint(names()):
            raise ForbiddenError("no name of the client certificate is in tls.client_names")
        if self._keyring is None:
            return b""
        return await self._keyring.check(find_token(headers()), allowed)


def names_of_grpc(context: dict[str, list[bytes]]) -> list[str]:
    """Return the names in the sender's certificate, from a call's authentication context."""
    found = context.get("x509_subject_alternative_name") or context.get("x509_common_name") or []
    return [name.decode(errors="replace") for name in found]


def names_of_peer(certificate: dict[str, Any] | None) -> list[str]:
    """Return the names in the sender's certificate, from what ``ssl`` tells of it."""
    if not certificate:
        return []
    names: list[str] = [str(name) for _, name in certificate.get("subjectAltName", ())]
    if names:
        return names
    subject = (pair for part in certificate.get("subject", ()) for pair in part)
    return [str(value) for key, value in subject if key == "commonName"]
