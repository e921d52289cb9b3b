"""Joining: the settings a command works with, of the environment (with DATABASE_URL) or of the running machine."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from marketbill.cli.failure import CommandRefused, WrongUse

if TYPE_CHECKING:
    from marketbill.config import Settings
    from marketbill.ids import PlatformId
    from marketbill.services import Services

#: Platforms that are named when somebody must choose one.
_SHOWN_MAX = 10


def join(data: Path | None) -> "Settings":
    """The settings of an operator's command.

    Raises CommandRefused when neither DATABASE_URL is set nor a machine runs in the data folder.
    """
    from marketbill.config import settings

    if not os.environ.get("DATABASE_URL"):
        from marketbill.embedded.folder import default_data_folder
        from marketbill.embedded.running import find_running

        folder = data or default_data_folder()
        running = find_running(folder)
        if running is None:
            raise CommandRefused(
                f"nothing runs in {folder}: start `marketbill up` first (with the same --data),"
                " or set DATABASE_URL to work with a database of your own"
            )
        os.environ.update(running.environment())
    elif data is not None:
        raise WrongUse("DATABASE_URL is set, so --data has no meaning: unset one of the two")
    return settings()


@asynccontextmanager
async def joined(data: Path | None, *, pool_size: int | None = None) -> AsyncGenerator["Services"]:
    """The services of an operator's command, closed at its end."""
    from marketbill.services import Services

    settings = join(data)
    if pool_size is not None:
        settings = settings.model_copy(update={"database_pool_size": pool_size})
    services = Services.create(settings, application="marketbill-cli")
    try:
        yield services
    finally:
        await services.close()


async def platforms(services: "Services", *, limit: int = 10_000) -> "list[tuple[PlatformId, str]]":
    """Every platform's id and name, oldest first."""
    from marketbill.ids import PlatformId
    from marketbill.platforms.model import platform as table

    statement = select(table.c.platform_id, table.c.name).order_by(table.c.created_at, table.c.platform_id).limit(limit)
    async with services.db.system() as scope:
        rows = (await scope.connection.execute(statement)).all()
    return [(PlatformId(row.platform_id), row.name) for row in rows]


async def platform_named(services: "Services", wanted: str | None) -> "tuple[PlatformId, str]":
    """The platform of this name or id; the only one there is when none is named.

    Raises CommandRefused when there is none, or more than one.
    """
    from marketbill.ids import public_id

    known = await platforms(services)
    if not known:
        raise CommandRefused("there is no platform yet: create one with the mutation platformCreate")
    found = [one for one in known if wanted is None or wanted in (one[1], public_id("platform", one[0]))]
    if len(found) == 1:
        return found[0]
    if found and wanted is not None:
        ids = ", ".join(public_id("platform", id) for id, _ in found[:_SHOWN_MAX])
        raise CommandRefused(
            f"{len(found)} platforms are called {wanted!r}: name one by its id with --platform ({ids})"
        )
    names = ", ".join(repr(name) for _, name in known[:_SHOWN_MAX]) + (" ..." if len(known) > _SHOWN_MAX else "")
    problem = f"there is no platform called {wanted!r}" if wanted else "there are several platforms"
    raise CommandRefused(f"{problem}: name one with --platform ({names})")
