"""``/api/v1/services``: which services there are, and what they do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from collector.api.parameters import Length, RangeParameters, Text
from collector.api.questions import Questions
from collector.api.routing import gives, router
from collector.query.lengths import length_ns
from collector.query.service_repository import Operation, RedSeries, Service, ServiceRepository

When = Annotated[RangeParameters, Query()]
Name = Annotated[Text, Path()]
"""A slash in it is written as it is, or as %2F."""


class RedAsked(RangeParameters):
    """In steps of which length."""

    step: Length = Field("1m", description="length of a step; at most 1000 are in the range")
    by_operation: bool = Field(False, description="a series for each operation")


def routes(questions: Questions, services: ServiceRepository) -> APIRouter:
    """Return the routes."""
    found = router("/services", "services")

    @found.get("", **gives(tuple[Service, ...]))
    async def list_services(request: Request, asked: When) -> Response:
        """The services that may have sent something in a range, by name."""
        when = questions.slow_range(asked)
        return await questions.slow_answer(
            request, ("services", when), lambda: services.services(when)
        )

    @found.get("/{service:path}/operations", **gives(tuple[Operation, ...]))
    async def list_operations(
        request: Request,
        service: Name,
        asked: When,
    ) -> Response:
        """The operations among the newest spans of a service, by name; none for an unknown one."""
        when = questions.slow_range(asked)
        return await questions.slow_answer(
            request, ("operations", service, when), lambda: services.operations(service, when)
        )

    @found.get("/{service:path}/red", **gives(tuple[RedSeries, ...]))
    async def show_red(
        request: Request, service: Name, asked: Annotated[RedAsked, Query()]
    ) -> Response:
        """Rate, errors and durations of what came into a service; none for an unknown one."""
        when, step_us = asked.when(questions.now_ns()), length_ns(asked.step) // 1_000
        return await questions.answer(
            request,
            lambda: services.red(when, step_us, service, by_operation=asked.by_operation),
        )

    return found
