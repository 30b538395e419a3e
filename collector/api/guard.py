"""What stands before every route, and before what is no route: who may read, and how failures are told."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.api.admission import CLIENT, Admission
from collector.api.errors import Failures


class Guard:
    """Lets in who may read, before anything else is looked at; turns what is raised into answers.

    The state of a request that it let in says under ``CLIENT`` whose that is.
    """

    def __init__(self, app: ASGIApp, admission: Admission, failures: Failures) -> None:
        self._app = app
        self._admission = admission
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what fails when its answer has begun is raised."""
        assert scope["type"] == "http"
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            request = Request(scope)
            setattr(request.state, CLIENT, await self._admission.check(request))
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            raise
        except ClientDisconnect:
            return  # nobody hears it
        except Exception as error:
            if begun:
                raise
            await self._failures.answer(error)(scope, receive, send)
