"""`marketbill tax`: a command in each module beside this one."""

from cyclopts import App, Group

from marketbill.cli.tax.rates import rate_add, rates
from marketbill.cli.tax.reports import oss, report

_HELP = """Look at tax rates and add a platform's own; report what was taxed.

Rates are data: each row has its place, its days and the law it comes from. An own row takes the built-in one's place
for as long as it holds; nothing is ever edited.

Example: marketbill tax rates --jurisdiction DE --on 2020-07-01
Example: marketbill tax rate-add DE standard 17 --from 2027-01-01 --until 2027-07-01 --law "UStG, s. 28"
--page https://www.gesetze-im-internet.de/ustg_1980/ --reason "announced on 1 December"
Example: marketbill tax report --from 2026-10-01 --to 2027-01-01
Example: marketbill tax oss 2026Q4
"""


def __getattr__(name: str) -> App:
    # Made anew for each use: where it is only listed, it is given a shorter help.
    if name != "tax":
        raise AttributeError(name)
    app = App(name="tax", help=_HELP, help_format="plaintext")
    keeping = Group("Rates", sort_key=1)
    app.command(rates, group=keeping)
    app.command(rate_add, group=keeping)
    reporting = Group("Reports", sort_key=2)
    app.command(report, group=reporting)
    app.command(oss, group=reporting)
    return app
