"""`marketbill ledger`: a command in each module beside this one."""

from cyclopts import App, Group

from marketbill.cli.ledger.accounts import account_changes, ceiling, close_account, freeze, guard, unfreeze
from marketbill.cli.ledger.chain import chain
from marketbill.cli.ledger.checkpoint import checkpoint
from marketbill.cli.ledger.corrections import approve, correction_limit, corrections, reject, reverse
from marketbill.cli.ledger.export import export
from marketbill.cli.ledger.holds import holds, void_hold
from marketbill.cli.ledger.money_path import money_path
from marketbill.cli.ledger.periods import close_period, periods
from marketbill.cli.ledger.rebuild import rebuild

_HELP = """Keep the books: close periods, correct entries, freeze accounts; take the books out; rebuild what follows.

Nothing is ever edited: a period is closed for ever, an entry is corrected by one that reverses it, and every change is
kept with who made it and why.

Example: marketbill ledger close-period 2026-11-01 --check
Example: marketbill ledger reverse ent_01jd8x0q4mf0v9k2s7c3b6n1ra --reason "booked twice"
Example: marketbill ledger export --format hledger -o books.journal
Example: marketbill ledger checkpoint -o 2026-11.json
Example: marketbill ledger rebuild --check
"""


def __getattr__(name: str) -> App:
    # Made anew for each use: where it is only listed, it is given a shorter help.
    if name != "ledger":
        raise AttributeError(name)
    app = App(name="ledger", help=_HELP, help_format="plaintext")
    keeping = Group("Keeping the books", sort_key=1)
    for command in (close_period, periods, reverse, approve, reject, corrections, correction_limit):
        app.command(command, group=keeping)
    accounts = Group("Accounts and holds", sort_key=2)
    for command in (freeze, unfreeze, close_account, guard, ceiling, account_changes, holds, void_hold):
        app.command(command, group=accounts)
    proving = Group("Taking them out, proving them", sort_key=3)
    for command in (export, chain, checkpoint, rebuild, money_path):
        app.command(command, group=proving)
    return app
