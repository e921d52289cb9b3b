"""The provider's fees for a lost dispute, charged to its sellers where the policy has them bear these.

It is a service of the platform's like its own fee, so the same decision says which tax is put on it. What the sellers
are charged is a debt of theirs, which their next sales pay.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from sqlalchemy import Row

from marketbill.db import Scope, WriteScope
from marketbill.ids import SellerId, public_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.ledger.original import Original
from marketbill.money import round_half_away
from marketbill.platforms import platform as platforms
from marketbill.refunds import booking as returns
from marketbill.refunds.arithmetic import Returned
from marketbill.rules.allocation import allocate
from marketbill.rules.return_policy import Bearer
from marketbill.rules.tax.fee_tax import fee_tax
from marketbill.sellers import seller as sellers


class Charge(NamedTuple):
    """What one seller is charged, in minor units of the settlement: `fee` without the `tax` at `rate` percent, which is
    output tax of `country`, empty for none."""

    fee: int
    tax: int
    rate: Decimal
    country: str

    @property
    def total(self) -> int:
        return self.fee + self.tax


async def charges(scope: Scope, made: Returned | None, fees: int) -> dict[SellerId, Charge]:
    """`fees` over the sellers of what was undone; none where the platform bears them."""
    shares = {seller: fee for seller, fee in _shares(made, fees).items() if fee}
    if not shares:
        return {}
    own, rows = platforms.tax_of(await platforms.load(scope)), await sellers.by_ids(scope, shares)
    found: dict[SellerId, Charge] = {}
    for seller, fee in shares.items():
        decided = fee_tax(platform=own, seller=sellers.tax_of(rows[seller]))
        tax = round_half_away(Fraction(decided.rate) * fee / 100)
        found[seller] = Charge(fee, tax, decided.rate, decided.jurisdiction if tax else "")
    return found


def entries(
    scope: WriteScope, payment: Row[Any], row: Row[Any], live: Row[Any], made: Mapping[SellerId, Charge]
) -> list[JournalEntry]:
    """The fees that sellers bear, taken from what their debts brought there; one entry for each of them, which says at
    which rate it was taxed."""
    return [_entry(scope, payment, row, key(live, seller), seller, one) for seller, one in made.items()]


def key(live: Row[Any], seller: SellerId) -> str:
    """Fees are charged once for each time that the sellers' parts are taken."""
    return f"recharge:{public_id('dispute', live.id)}:{public_id('seller', seller)}"


def given_back(scope: WriteScope, payment: Row[Any], row: Row[Any], charged: Original) -> JournalEntry:
    """The same the other way round: what the fees come to is charged anew, if the sellers bear any."""
    return JournalEntry(
        key=f"recharge-reversed:{charged.public_id}",
        kind="reversal",
        source=Source("dispute", row.id),
        postings=returns.mirrored(charged.postings),
        effective_at=scope.now,
        description=f"Dispute fees given back on {payment.reference or public_id('payment', payment.id)}",
        reason=_reason(payment, row),
        reverses=charged.id,
    )


def _entry(
    scope: WriteScope, payment: Row[Any], row: Row[Any], key: str, seller: SellerId, one: Charge
) -> JournalEntry:
    currency, id = row.settlement_currency, public_id("dispute", row.id)
    payable = chart.seller_payable(seller, currency)
    postings = [Posting(payable, chart.account(chart.DISPUTE_RECHARGE, currency), one.fee)]
    if one.tax:
        postings.append(Posting(payable, chart.output_vat(one.country, currency), one.tax))
    return JournalEntry(
        key=key,
        kind="recharge",
        source=Source("dispute", row.id),
        postings=tuple(postings),
        effective_at=scope.now,
        description=f"Dispute fees charged on {payment.reference or public_id('payment', payment.id)}: {id}",
        reason={**_reason(payment, row), "seller": public_id("seller", seller), "tax_rate": str(one.rate)},
    )


def _reason(payment: Row[Any], row: Row[Any]) -> dict[str, Any]:
    return {
        "payment": public_id("payment", payment.id),
        "provider_dispute": row.provider_dispute,
        "status": row.status,
        "reason": row.reason,
    }


def _shares(made: Returned | None, fees: int) -> dict[SellerId, int]:
    """By their parts."""
    if made is None or made.terms.dispute_fee is Bearer.PLATFORM or fees <= 0:
        return {}
    parts = {seller: part for seller, part in sorted(made.parts.items()) if part}
    if not parts:
        return {}
    shares = allocate(fees, {str(seller): part for seller, part in parts.items()})
    return {seller: shares[str(seller)] for seller in parts}
