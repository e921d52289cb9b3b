"""`marketbill fees`: a command in each module beside this one."""

from cyclopts import App, Group

from marketbill.cli.fees.exception import exception
from marketbill.cli.fees.schedules import discard, draft, list_, publish, show
from marketbill.cli.fees.simulate import simulate
from marketbill.cli.fees.trying import preview, why

_HELP = """Manage fees: schedules of rules, drafted, tried out on a basket or on history, and published.

What is published never changes: a payment keeps the version that it was computed with. A schedule is a YAML file with
amounts in major units ("0.30") and percentages ("8.5").

Example: marketbill fees show > fees.yaml
Example: marketbill fees simulate fees.yaml --from 2026-01-01
Example: marketbill fees draft fees.yaml
Example: marketbill fees publish fee_01jd8x0q4mf0v9k2s7c3b6n1ra --at 2027-01-01
"""


def __getattr__(name: str) -> App:
    # Made anew for each use: where it is only listed, it is given a shorter help.
    if name != "fees":
        raise AttributeError(name)
    app = App(name="fees", help=_HELP, help_format="plaintext")
    managing = Group("Managing schedules", sort_key=1)
    app.command(list_, name="list", group=managing)
    for command in (show, draft, publish, discard, exception):
        app.command(command, group=managing)
    trying = Group("Trying them out", sort_key=2)
    for command in (preview, why, simulate):
        app.command(command, group=trying)
    return app
