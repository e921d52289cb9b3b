"""`marketbill migrate`."""

import asyncio
import sys
from typing import Annotated

from cyclopts import Parameter


def migrate(*, sql: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Bring the database to the newest schema; safe to run twice, and by two at once.

    Uses DATABASE_ADMIN_URL (the schema's owner), or DATABASE_URL when that is not set.

    Example: DATABASE_ADMIN_URL=postgresql://owner@db/marketbill marketbill migrate

    Parameters
    ----------
    sql
        Print the SQL of all migrations and run nothing; needs no database.
    """
    from marketbill.migrate import upgrade, upgrade_sql

    if sql:
        sys.stdout.write(upgrade_sql())
        return
    from marketbill.config import settings

    current = settings()
    asyncio.run(upgrade((current.database_admin_url or current.database_url).get_secret_value()))
    print("The database is up to date.")
