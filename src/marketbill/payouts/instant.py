"""Instant payouts: what one costs the seller is shown before, and carried out just so or not at all.

The fee is the platform's own price (`Terms.instant_percent`), with the tax on its services. It is booked when the
payout is at the bank; what is payable may be on its way already, so the seller comes to owe it, and his next sales pay
it.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sqlalchemy import Row

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput
from marketbill.ids import SellerId, public_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.money import round_half_away
from marketbill.payouts import debts, schedule
from marketbill.payouts.debts import Owed
from marketbill.payouts.model import PayoutMethod, Rail
from marketbill.payouts.opening import Opening
from marketbill.platforms import platform as platforms
from marketbill.platforms.keys import tenant
from marketbill.rules.payout_calendar import Terms
from marketbill.rules.tax.fee_tax import fee_tax
from marketbill.sellers import seller as sellers
from marketbill.services import Services

#: The account of these fees, under `revenue:platform-fee:*`.
FEE_NAME = "instant-payout"


@dataclass(frozen=True, slots=True)
class Price:
    """What an instant payout costs, in minor units: `fee` without tax. `country` is whose tax it is, empty for none."""

    fee: int
    tax: int
    country: str

    @property
    def total(self) -> int:
        return self.fee + self.tax


@dataclass(frozen=True, slots=True)
class Preview:
    """A payout as it would be now; `token` stands for it."""

    opening: Opening
    price: Price
    token: str


def fee_of(terms: Terms, amount: int, currency: str) -> int:
    """The fee without tax: a percentage, and at least so much. Raises InvalidInput where there are no such payouts."""
    if terms.instant_percent is None:
        raise InvalidInput(
            "The seller's schedule has no price for instant payouts.", path=("method",), constraint="STANDARD"
        )
    share = round_half_away(Fraction(terms.instant_percent) * amount / 100)
    return max(share, terms.instant_least.get(currency, 0))


async def price(scope: Scope, seller: Row[Any], amount: int, currency: str) -> Price:
    """What an instant payout of `amount` costs this seller. Raises InvalidInput."""
    fee = fee_of(await schedule.terms_of(scope, seller.id), amount, currency)
    decided = fee_tax(platform=platforms.tax_of(await platforms.load(scope)), seller=sellers.tax_of(seller))
    tax = round_half_away(Fraction(decided.rate) * fee / 100)
    return Price(fee, tax, decided.jurisdiction if tax else "")


def token(services: Services, actor: Actor, opening: Opening, cost: Price) -> str:
    """Stands for a payout and its price, and for what there is: so one that was made never fits again."""
    facts = [
        str(opening.seller),
        opening.currency,
        opening.amount,
        opening.available,
        opening.method,
        [cost.fee, cost.tax, cost.country],
        [[str(line.item), line.amount] for line in opening.lines],
    ]
    return services.vault.preview_token(f"payout:{tenant(actor)}", facts)


def check_rail(opening: Opening) -> None:
    """Raises InvalidInput: only the provider pays at once."""
    if opening.method is PayoutMethod.INSTANT and opening.rail is not Rail.PROVIDER:
        raise InvalidInput(
            "This seller is paid by bank file, never instantly.", path=("method",), constraint="STANDARD"
        )


async def recharge(scope: WriteScope, row: Row[Any]) -> list[JournalEntry]:
    """The seller comes to owe the fee of an instant payout that was paid; the entries are to be posted by the caller.
    None where it has no fee."""
    if not row.fee:
        return []
    seller, currency, id = SellerId(row.seller_id), row.currency, public_id("payout", row.id)
    source = Source("payout", row.id)
    await debts.incur(scope, [Owed(seller, currency, None, source, row.fee)])
    payable = chart.seller_payable(seller, currency)
    fees = [Posting(payable, chart.account(chart.OWN_FEE, currency, FEE_NAME), row.fee - row.fee_tax)]
    if row.fee_tax:
        fees.append(Posting(payable, chart.output_vat(row.fee_country, currency), row.fee_tax))
    owed = debts.incurred(seller, currency, row.fee)
    reason = {"seller": public_id("seller", seller), "payout": id}
    return [
        JournalEntry(
            key=f"{kind}:{id}",
            kind=kind,
            source=source,
            postings=tuple(posting for posting in postings if posting.amount),
            effective_at=scope.now,
            description=f"{words} {id}",
            reason=reason,
        )
        for kind, postings, words in (
            ("debt", [owed], "Fee owed for the instant payout"),
            ("recharge", fees, "Fee for the instant payout"),
        )
    ]
