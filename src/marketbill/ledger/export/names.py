"""How other programs name our accounts: under the root of their kind, word by word as in the chart.

Codes of revenue, expenses and equity begin with their root already. Custody accounts stand off the balance sheet and
net to zero for each seller, so they are a tree of their own inside equity. The chart's codes are such that no two of
them become one name.
"""

from collections.abc import Mapping
from functools import lru_cache

from marketbill.ledger.chart import AccountKind
from marketbill.ledger.export.record import Account

_ROOTS: Mapping[AccountKind, str] = {
    AccountKind.ASSET: "assets:",
    AccountKind.LIABILITY: "liabilities:",
    AccountKind.REVENUE: "",
    AccountKind.EXPENSE: "",
    AccountKind.EQUITY: "",
    AccountKind.CUSTODY: "equity:",
}


def hledger_name(account: Account) -> str:
    """`liabilities:seller:sel_01jd…:payable`."""
    return _ROOTS[account.kind] + account.code


@lru_cache(maxsize=65_536)
def beancount_name(account: Account) -> str:
    """`Liabilities:Seller:Sel-01jd…:Payable`: every word begins with a capital or a digit and has no underscore."""
    words = hledger_name(account).replace("_", "-").split(":")
    return ":".join(word[:1].upper() + word[1:] for word in words)
