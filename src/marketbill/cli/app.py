"""The commands, by name. What a command does is in the module that its line names."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cyclopts import App, CycloptsError, Group

from marketbill.cli.failure import INTERRUPTED, USAGE, failure_of

_HERE = Group("On this computer", sort_key=1)
_BOOKS = Group("Books and orders", sort_key=2)
_PRODUCTION = Group("In production", sort_key=3)
_LOOKING = Group("Looking at it", sort_key=4)


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and where it is; its own help is there too."""

    name: str
    place: str
    group: Group
    summary: str


COMMANDS = (
    Command("up", "marketbill.cli.machine:up", _HERE, "Start the whole product on this computer."),
    Command("demo", "marketbill.cli.machine:demo", _HERE, "Run one marketplace day and show the books."),
    Command("verify", "marketbill.cli.books:verify", _BOOKS, "Prove the books, to the cent and to the provider."),
    Command("statement", "marketbill.cli.books:statement", _BOOKS, "Print a seller's statement, as a table or as CSV."),
    Command(
        "import-orders",
        "marketbill.cli.orders.command:import_orders",
        _BOOKS,
        "Run every order of a CSV file as a payment.",
    ),
    Command("api", "marketbill.cli.programs:api", _PRODUCTION, "Serve GraphQL and webhooks."),
    Command("worker", "marketbill.cli.programs:worker", _PRODUCTION, "Do the background work."),
    Command("relay", "marketbill.cli.programs:relay", _PRODUCTION, "Bring jobs from the outbox to the broker."),
    Command("migrate", "marketbill.cli.database:migrate", _PRODUCTION, "Bring the database to the newest schema."),
    Command("stuck", "marketbill.cli.stuck:stuck", _PRODUCTION, "List what is stuck and why; try it again."),
    Command("sandbox", "marketbill.cli.sandbox:sandbox", _PRODUCTION, "Serve the sandbox provider; move its clock."),
    Command("config", "marketbill.cli.looking:config", _LOOKING, "List the settings; secrets are hidden."),
    Command("schema", "marketbill.cli.looking:schema", _LOOKING, "Print or check the GraphQL contract."),
)


def build(called: str | None = None) -> App:
    """The program. The command that is `called` shows its own help; the others are not imported at all."""
    app = App(
        name="marketbill",
        help="Payments and billing for marketplaces: split, ledger, payouts, statements, proven to the cent.\n\n"
        "Example: marketbill up (starts everything on this computer). Every command: marketbill COMMAND --help.",
        help_format="plaintext",
        version=_version,
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for command in COMMANDS:
        summary = None if command.name == called else command.summary
        app.command(command.place, name=command.name, group=command.group, help=summary)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command; gives its exit code. Whatever goes wrong is one clear line on the error stream."""
    try:
        result = build(arguments[0] if arguments else None)(list(arguments))
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except CycloptsError as error:
        _say(f"{_one_line(str(error))} (try: {_help_of(arguments)})")
        return USAGE
    except KeyboardInterrupt:
        _say("stopped.")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) went away; the interpreter must not complain about it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("LOG_LEVEL", "").upper() == "DEBUG":
            raise
        failure = failure_of(error)
        _say(failure.line)
        return failure.exit_code


def _help_of(arguments: Sequence[str]) -> str:
    known = {command.name for command in COMMANDS}
    return " ".join(["marketbill", *(word for word in arguments[:1] if word in known), "--help"])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _say(text: str) -> None:
    sys.stdout.flush()
    print(f"marketbill: {text}", file=sys.stderr, flush=True)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("marketbill")
    except PackageNotFoundError:  # a checkout on the path, not an installed package
        from marketbill import __version__

        return __version__
