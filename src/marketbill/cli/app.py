"""The commands, by name. What a command does is in the module that its line names."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cyclopts import App, CycloptsError, Group, UnknownCommandError, UnusedCliTokensError

from marketbill.cli.failure import INTERRUPTED, USAGE, failure_of

_HERE = Group("On this computer", sort_key=1)
_BOOKS = Group("Books and orders", sort_key=2)
_PRODUCTION = Group("In production", sort_key=3)
_LOOKING = Group("Looking at it", sort_key=4)
#: Characters of a complaint, which repeats what was written.
_LINE_MAX = 300
_SHOWN_MAX = 40


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
    Command("reconcile", "marketbill.cli.reconcile:reconcile", _BOOKS, "Compare the provider's records with ours."),
    Command(
        "payout-proof",
        "marketbill.cli.payout_proof:payout_proof",
        _BOOKS,
        "Explain a payout, from the bank's line to the lines of orders.",
    ),
    Command(
        "statement", "marketbill.cli.books:statement", _BOOKS, "Print a seller's statement, or write it to a file."
    ),
    Command(
        "bank-import",
        "marketbill.cli.bank_import:bank_import",
        _BOOKS,
        "Import what the bank answered to files of payouts.",
    ),
    Command("explain", "marketbill.cli.explain:explain", _BOOKS, "Explain an amount, down to what it was made of."),
    Command("ledger", "marketbill.cli.ledger.program:ledger", _BOOKS, "Close, correct, export and prove the books."),
    Command("fx", "marketbill.cli.fx:fx", _BOOKS, "Show exchange rates, and bring them up to date."),
    Command("tax", "marketbill.cli.tax.program:tax", _BOOKS, "List tax rates, and add your own."),
    Command("fees", "marketbill.cli.fees.program:fees", _BOOKS, "Draft, try out and publish fees."),
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
    Command("doctor", "marketbill.cli.doctor:doctor", _PRODUCTION, "List what waits too long, and what to do."),
    Command(
        "sandbox",
        "marketbill.cli.sandbox:sandbox",
        _PRODUCTION,
        "Serve the sandbox provider; set clock and faults.",
    ),
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
    app = build(arguments[0] if arguments else None)
    try:
        result = app(list(arguments))
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except CycloptsError as error:
        _say(f"{_one_line(_complaint(app, error, arguments))} (try: {_help_of(app, arguments)})")
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


def _complaint(app: App, error: CycloptsError, arguments: Sequence[str]) -> str:
    """The parser's words; ours for a sub-command that there is not, which it takes for an argument too many."""
    called, asked = _called(app, arguments)
    unknown = arguments[len(called)] if len(arguments) > len(called) else ""
    if not called or unknown.startswith("-") or not isinstance(error, UnusedCliTokensError | UnknownCommandError):
        return str(error)
    commands = [name for name in asked if not name.startswith("-")]
    if not commands or not unknown:
        return str(error)
    return f"unknown command {unknown[:_SHOWN_MAX]!r}; {', '.join(commands)}"


def _called(app: App, arguments: Sequence[str]) -> tuple[list[str], App]:
    """The names of command and sub-command that the arguments begin with, and the program of the last of them."""
    called: list[str] = []
    for word in arguments:
        if word.startswith("-") or word not in app:
            break
        app = app[word]
        called.append(word)
    return called, app


def _help_of(app: App, arguments: Sequence[str]) -> str:
    called, _ = _called(app, arguments)
    return " ".join(["marketbill", *called, "--help"])


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE_MAX else f"{line[:_LINE_MAX]} ..."


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
