"""`marketbill config` and `marketbill schema`."""

import os
import sys
from typing import Annotated

from cyclopts import Parameter

from marketbill.cli import terminal
from marketbill.cli.failure import failure_of
from marketbill.cli.published import show_or_check


def config() -> int:
    """List every setting with its value, where that comes from, and what it is for. Secrets are hidden.

    Settings are environment variables. Exits 1 when one is missing or wrong.

    Example: LOG_LEVEL=DEBUG marketbill config
    """
    from pydantic import SecretStr
    from rich.table import Table

    from marketbill.config import Settings, SettingsMissing, settings

    problem: SettingsMissing | None = None
    current: Settings | None = None
    try:
        current = settings()
    except SettingsMissing as missing:
        problem = missing
    table = Table("setting", "value", "source", "meaning", title="Settings", title_justify="left")
    for name, field in Settings.model_fields.items():
        given = os.environ.get(name.upper(), os.environ.get(name))
        value = getattr(current, name) if current else field.default
        if given is not None and not _is_secret(field.annotation):
            shown = given
        elif given is not None or isinstance(value, SecretStr):
            shown = "(hidden)"
        elif field.is_required():
            shown = "(missing)"
        else:
            shown = "-" if value is None else str(value)
        table.add_row(name.upper(), shown, "environment" if given is not None else "default", field.description or "")
    terminal.console().print(table)
    if problem is None:
        return 0
    print(f"marketbill: {failure_of(problem).line}", file=sys.stderr)
    return 1


def schema(*, check: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Print the GraphQL schema as the code has it.

    Example: marketbill schema > graphql/schema.graphql after a change, `marketbill schema --check` before a commit.

    Parameters
    ----------
    check
        Print nothing; compare with `graphql/schema.graphql` of this checkout, and exit 1 when they differ.
    """
    from marketbill_graphql.schema import sdl

    show_or_check(sdl(), "graphql/schema.graphql", "marketbill schema", check=check)


def _is_secret(annotation: object) -> bool:
    return "SecretStr" in str(annotation)
