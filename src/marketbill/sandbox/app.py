"""The sandbox provider as an ASGI program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from marketbill.sandbox.connection import Connected
from marketbill.sandbox.control.table import control_routes
from marketbill.sandbox.dashboard.table import dashboard_routes
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.dispatch import Api
from marketbill.sandbox.due_work import DUE_WORK
from marketbill.sandbox.line import Line
from marketbill.sandbox.pages import Pages
from marketbill.sandbox.webhooks import Courier
from marketbill.sandbox.wire import BODY_BYTES_MAX


def create_app(state_path: Path | None, *, base_url: str, control: bool = True) -> Starlette:
    """Make the provider.

    ``state_path`` is its one SQLite file, or None for memory only. ``base_url`` is where browsers reach it (for
    onboarding and authentication pages). Without ``control`` neither the control plane nor the dashboard exists.

    The state is opened here and closed when the program's lifespan ends; events are delivered in between.

    :raises StateInUse: another process holds the state.
    """
    desk = Desk(state_path, base_url=base_url, work=DUE_WORK)
    api = Api(desk)
    line = Line(desk, api)
    pages = Pages(desk)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        courier = Courier(desk)
        task = asyncio.create_task(courier.run(), name="sandbox courier")
        try:
            yield
        finally:
            courier.stop()
            with suppress(asyncio.CancelledError):
                await task
            desk.store.close()

    routes = [
        Mount("/v1", app=line),
        Mount("/v2", app=line),
        Route("/_sandbox/onboard/{token}", pages.onboard, methods=["GET", "POST"]),
        Route("/_sandbox/authenticate/{intent}", pages.authenticate, methods=["GET", "POST"]),
        Route("/_sandbox/receipts/{charge}", pages.receipt),
        *(
            [*control_routes(desk, api, line), *dashboard_routes(desk, api, line)]
            if control
            else [Route("/", pages.index)]
        ),
    ]
    return Connected(routes=routes, lifespan=lifespan, max_body_size=10 * BODY_BYTES_MAX)
