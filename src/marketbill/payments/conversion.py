"""A sale that the provider settled in another currency: its entry, and what is booked of it from then on.

The provider's figures are taken as they are: the amount that came is the truth, its rate only tells how. All that the
sale left in the buyer's currency goes into the other one with it (`rules.settlement`), so the position that is open
between both is closed within one entry, and whatever follows (the provider's fee, release, transfer) is in the currency
of the money that there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row

from marketbill.db import Scope
from marketbill.ids import SellerId, public_id
from marketbill.ledger import chart
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.money import decimal_text
from marketbill.platforms.platform import seller_terms
from marketbill.provider.objects import BalanceTransaction
from marketbill.rates.store import rates_on
from marketbill.rules.fx import ExchangeRate, decimal_of, exact, rate_of
from marketbill.rules.settlement import LOSS, MARGIN, PROVIDER, SellerRate, SellerTerms, settled

#: How far an amount may be from what its rate says: the provider tells its rates with a few digits, and rounds to what
#: it can move (tens of the smallest unit in currencies of three decimals).
_TOLERANCE_UNITS, _TOLERANCE_PARTS = 10, 10_000


class RateAmiss(Exception):
    """The provider settled in another currency by no rate, or by one that does not lead to its amount."""


@dataclass(frozen=True, slots=True)
class Policy:
    """By which rates sellers are paid what was settled in another currency; `mids` by currency pair and day."""

    terms: SellerTerms
    mids: Mapping[tuple[str, str, date], ExchangeRate]


@dataclass(frozen=True, slots=True)
class Conversion:
    """`nets` is what each seller has in the other currency, `rate` what is kept with the payment, in JSON."""

    entry: JournalEntry
    nets: dict[UUID, int]
    rate: dict[str, Any]


async def policy_of(scope: Scope, wanted: Sequence[tuple[str, str, date]]) -> Policy:
    """The platform's policy, with the official rates that it needs for conversions of these pairs and days.

    Raises RateMissing and RateTooOld when it promises a rate that there is not.
    """
    terms = await seller_terms(scope)
    mids: dict[tuple[str, str, date], ExchangeRate] = {}
    if terms.policy is SellerRate.MID:
        for base, quote, on in sorted(set(wanted)):
            mids[base, quote, on] = (await rates_on(scope, on, [(base, quote)])).rate(base, quote)
    return Policy(terms, mids)


def convert(
    payment: Row[Any],
    shares: Sequence[Row[Any]],
    sale: Sequence[JournalEntry],
    transaction: BalanceTransaction,
    policy: Policy,
    *,
    sold_on: date,
    at: datetime,
) -> Conversion:
    """The sale's balances follow the provider's money; `sale` are the entries that made them.

    Raises RateAmiss.
    """
    currency, into = payment.currency, transaction.currency
    rate = _rate(payment, transaction, at)
    accounts, parts = balances(sale, chart.psp_pending(currency))
    sellers = {share.seller_id: chart.seller_pending(SellerId(share.seller_id), currency).code for share in shares}
    mid = policy.mids.get((currency, into, sold_on))
    made = settled(
        parts,
        sellers=set(sellers.values()),
        currency=currency,
        into=into,
        amount=transaction.amount,
        terms=policy.terms,
        mid=mid,
    )
    kept = _told(rate) | {"policy": policy.terms.policy.value}
    if mid is not None:
        kept |= {"reference": _told(mid), "loss": made.loss}
    if policy.terms.policy is SellerRate.MARKUP:
        kept |= {"markup": f"{policy.terms.markup.normalize():f}", "margin": made.margin}
    own = {
        PROVIDER: chart.PSP_PENDING,
        MARGIN: chart.FX_MARGIN,
        LOSS: chart.FX_LOSS,
    }
    postings: list[Posting] = []
    for movement in made.movements:
        family = own.get(movement.account)
        of = None if family else accounts[movement.account].of
        account = chart.account(family or accounts[movement.account].family, movement.currency, of)
        position = chart.account(chart.FX_POSITION, movement.currency)
        pair = (account, position) if movement.amount > 0 else (position, account)
        postings.append(Posting(*pair, abs(movement.amount)))
    id = public_id("payment", payment.id)
    entry = JournalEntry(
        key=f"fx-conversion:{id}",
        kind="fx-conversion",
        source=Source("payment", payment.id),
        postings=tuple(postings),
        effective_at=at,
        description=f"Settled in {into} {payment.reference or id}: {_words(rate, policy.terms, mid)}",
        reason={
            "reference": payment.reference,
            "balance_transaction": transaction.id,
            "rate": kept,
            "sold": f"{decimal_text(payment.gross, currency)} {currency}",
            "settled": f"{decimal_text(transaction.amount, into)} {into}",
        },
    )
    return Conversion(entry, {seller: made.parts.get(code, 0) for seller, code in sellers.items()}, kept)


def as_settled(
    payment: Row[Any], shares: Sequence[Row[Any]], *, currency: str, gross: int, nets: Mapping[UUID, int | None]
) -> tuple[Row[Any], list[Row[Any]]]:
    """The payment and its shares as what follows sees them: in the currency in which they were settled."""
    settled_shares = [_Seen(share, {"seller_net": nets[share.seller_id] or 0}) for share in shares]
    return cast(Any, _Seen(payment, {"currency": currency, "gross": gross})), cast(Any, settled_shares)


class _Seen:
    """A row of which some columns read otherwise."""

    __slots__ = ("_changes", "_row")

    def __init__(self, row: Row[Any], changes: Mapping[str, Any]) -> None:
        self._row = row
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        return self._changes[name] if name in self._changes else getattr(self._row, name)


def _rate(payment: Row[Any], transaction: BalanceTransaction, at: datetime) -> ExchangeRate:
    told = transaction.exchange_rate
    if told is None:
        raise RateAmiss(f"{transaction.id} settles {transaction.currency} for {payment.currency} and tells no rate")
    rate = rate_of(payment.currency, transaction.currency, told, source=f"stripe:{transaction.id}", at=at)
    numerator, denominator = exact(payment.gross, payment.currency, rate)
    off = abs(transaction.amount * denominator - numerator)
    if off * _TOLERANCE_PARTS > _TOLERANCE_UNITS * _TOLERANCE_PARTS * denominator + numerator:
        raise RateAmiss(
            f"{transaction.id} settles {transaction.amount} {transaction.currency} for {payment.gross}"
            f" {payment.currency}, which its rate of {told} does not make"
        )
    return rate


def balances(sale: Sequence[JournalEntry], arrived: AccountRef) -> tuple[dict[str, AccountRef], dict[str, int]]:
    """What the sale's entries left in each account but the provider's, a credit counting positive."""
    accounts: dict[str, AccountRef] = {}
    parts: dict[str, int] = {}
    for entry in sale:
        for posting in entry.postings:
            for account, amount in ((posting.credit, posting.amount), (posting.debit, -posting.amount)):
                if account != arrived:
                    accounts[account.code] = account
                    parts[account.code] = parts.get(account.code, 0) + amount
    return accounts, parts


def _told(rate: ExchangeRate) -> dict[str, Any]:
    return {
        "base": rate.base,
        "quote": rate.quote,
        "numerator": rate.numerator,
        "denominator": rate.denominator,
        "source": rate.source,
        "at": rate.at.isoformat(),
    }


def _words(rate: ExchangeRate, terms: SellerTerms, mid: ExchangeRate | None) -> str:
    by = f"1 {rate.base} = {decimal_of(rate)} {rate.quote}"
    if mid is not None:
        return f"{by}, sellers' {decimal_of(mid)} ({mid.source} of {mid.at.date()})"
    if terms.policy is SellerRate.MARKUP:
        return f"{by}, less {terms.markup.normalize():f} %"
    return by
