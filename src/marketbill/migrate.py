"""Brings the database to the newest schema (Alembic). `migrations/` is the truth; a test compares the tables."""

import asyncio
import io
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

_HERE = Path(__file__).resolve().parent


async def upgrade(admin_url: str, revision: str = "head") -> None:
    """Runs every migration up to `revision` that is still missing. `admin_url` must be the schema's owner. Safe to run
    twice at once."""
    await asyncio.to_thread(command.upgrade, _config(admin_url), revision)


def head() -> str | None:
    """The newest revision that this program knows."""
    return ScriptDirectory.from_config(_config("postgresql://localhost/marketbill")).get_current_head()


def upgrade_sql() -> str:
    """The SQL of all migrations, for review and for the migration lint."""
    output = io.StringIO()
    config = _config("postgresql://localhost/marketbill")
    config.output_buffer = output
    command.upgrade(config, "head", sql=True)
    return output.getvalue()


def _config(admin_url: str) -> Config:
    checkout = _HERE.parent.parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(checkout if checkout.is_dir() else _HERE / "_migrations"))
    config.attributes["url"] = admin_url
    return config
