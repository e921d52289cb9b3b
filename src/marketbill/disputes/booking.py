"""The entries of a dispute that is lost, or won after it was taken from its sellers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from marketbill.db import WriteScope
from marketbill.ids import public_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.money import decimal_text, round_ratio
from marketbill.recovery.clawback import Funding
from marketbill.refunds import booking as returns
from marketbill.refunds.arithmetic import Returned
from marketbill.refunds.booking import Taken


def lost(
    scope: WriteScope,
    payment: Row[Any],
    row: Row[Any],
    live: Row[Any],
    made: Returned | None,
    fundings: Sequence[Funding],
) -> JournalEntry:
    """D3: who bears what the buyer keeps. `made` is None where nothing of the sale was left to bear it."""
    return _entry(
        scope,
        payment,
        row,
        live,
        kind="dispute-lost",
        words="Dispute lost" if row.closed_at else "Taken back while disputed",
        postings=_taken(row, live, made, fundings),
    )


def restored(
    scope: WriteScope,
    payment: Row[Any],
    row: Row[Any],
    live: Row[Any],
    made: Returned | None,
    fundings: Sequence[Funding],
) -> JournalEntry:
    """The same the other way round: its bearers have their parts again."""
    return _entry(
        scope,
        payment,
        row,
        live,
        kind="dispute-restored",
        words="Given back after a dispute",
        postings=returns.mirrored(_taken(row, live, made, fundings)),
    )


def rate_difference(payment: Row[Any], row: Row[Any], difference: int) -> tuple[JournalEntry, ...]:
    """What the rates made between withdrawing and giving back: a loss, or below zero a gain."""
    if not difference:
        return ()
    currency, id = row.settlement_currency, public_id("dispute", row.id)
    disputed, loss = chart.account(chart.DISPUTED, currency, row.id), chart.account(chart.FX_LOSS, currency)
    pair = (loss, disputed) if difference > 0 else (disputed, loss)
    entry = JournalEntry(
        key=f"dispute-rate:{id}:{row.withdrawn}:{row.reinstated}",
        kind="dispute-rate",
        source=Source("dispute", row.id),
        postings=(Posting(*pair, abs(difference)),),
        effective_at=row.closed_at,
        description=f"Rate of a dispute of {payment.reference or public_id('payment', payment.id)}: {id}",
        reason=_reason(payment, row),
    )
    return (entry,)


def _taken(row: Row[Any], live: Row[Any], made: Returned | None, fundings: Sequence[Funding]) -> tuple[Posting, ...]:
    """The bearers' parts, the platform's own loss where more was disputed than was left of the sale, and what the rate
    made between the sale and the dispute."""
    currency = row.settlement_currency
    disputed = chart.account(chart.DISPUTED, currency, row.id)
    postings: list[Posting] = []
    borne = 0
    if made is not None:
        taken = [Taken(one.seller_id, one.pending, one.payable) for one in fundings]
        postings += returns.postings(made, taken, disputed)
        borne = made.settlement_amount
    excess = live.lost - (made.amount if made is not None else 0)
    own = round_ratio(live.taken * excess, live.lost)
    rate = live.taken - own - borne
    if own:
        postings.append(Posting(chart.account(chart.DISPUTE_LOSS, currency), disputed, own))
    loss = chart.account(chart.FX_LOSS, currency)
    if rate:
        postings.append(Posting(loss, disputed, rate) if rate > 0 else Posting(disputed, loss, -rate))
    return tuple(postings)


def _entry(
    scope: WriteScope, payment: Row[Any], row: Row[Any], live: Row[Any], *, kind: str, words: str, postings: Any
) -> JournalEntry:
    id = public_id("dispute", row.id)
    return JournalEntry(
        key=f"{kind}:{public_id('dispute', live.id)}",
        kind=kind,
        source=Source("dispute", row.id),
        postings=postings,
        effective_at=scope.now,
        description=f"{words} {payment.reference or public_id('payment', payment.id)}: {id}",
        reason=_reason(payment, row) | {"lost": f"{decimal_text(live.lost, payment.currency)} {payment.currency}"},
    )


def _reason(payment: Row[Any], row: Row[Any]) -> dict[str, Any]:
    return {
        "payment": public_id("payment", payment.id),
        "provider_dispute": row.provider_dispute,
        "status": row.status,
        "reason": row.reason,
    }
