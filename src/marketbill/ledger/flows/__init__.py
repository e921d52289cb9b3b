"""Every flow of money, as data: which legs an entry of a kind may have, when it happens, and what it comes from.

`docs/money-path.md` is printed from here. A flow that no use case books yet is here all the same, so that it has its
place on the map, and its legs, before it moves money.
"""

from collections.abc import Sequence

from marketbill.ledger.flows.corrections import CORRECTION
from marketbill.ledger.flows.returns import DEBT, DISPUTE, REFUND
from marketbill.ledger.flows.sales import PAYOUT, SALE
from marketbill.ledger.flows.subscriptions import SUBSCRIPTION
from marketbill.ledger.flows.template import Template
from marketbill.ledger.flows.treasury import CURRENCY, PROVIDER


def _by_kind(templates: Sequence[Template]) -> dict[str, Template]:
    found = {template.kind: template for template in templates}
    if len(found) != len(templates):
        raise ValueError("two flows have one name")
    return found


FLOWS = _by_kind(SALE + PAYOUT + REFUND + DISPUTE + DEBT + PROVIDER + CURRENCY + SUBSCRIPTION + CORRECTION)
"""The template of each kind of entry."""
