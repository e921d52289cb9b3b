"""All pages of the dashboard, and their style sheet."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox.dashboard import (
    accounts,
    events,
    faults,
    objects,
    overview,
    payments,
    payouts,
    rates,
    transfers,
)
from marketbill.sandbox.dashboard.frame import HEADERS, PREFIX, Frame
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.dispatch import Api
from marketbill.sandbox.line import Line

_FAMILIES = (overview, accounts, payments, transfers, payouts, events, faults, rates, objects)


def dashboard_routes(desk: Desk, api: Api, line: Line) -> list[Route]:
    """Return the routes of the dashboard of one sandbox."""
    frame = Frame(desk, api, line)
    sheet = (Path(__file__).parent / "style.css").read_bytes()

    async def style(request: Request) -> Response:
        return Response(sheet, media_type="text/css", headers=HEADERS)

    return [
        *(route for family in _FAMILIES for route in family.routes(frame)),
        Route(f"{PREFIX}/style.css", style, methods=["GET"]),
    ]
