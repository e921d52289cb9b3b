"""Drawing up the proof of a payout: our rows and entries, and what the provider says of each, at the time of asking."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, text

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.ids import PlatformId, public_id
from marketbill.money import decimal_text
from marketbill.payouts import queries
from marketbill.payouts.model import PayoutStatus, Rail
from marketbill.platforms.credentials import provider_of
from marketbill.provider.port import Provider
from marketbill.provider.stripe.units import transferable_part
from marketbill.reconciliation.proof import BankLine, Leg, LegKind, Proof, ProofLine
from marketbill.services import Services

#: Movements of the seller's account that are read at the provider; more are left unread, and named as residues.
MOVEMENTS_MAX = 20_000
#: A transfer may be made at the provider so long before, or after, we noted it.
_SLACK = timedelta(days=1)

#: A share of a sale: the payment's id and the seller's.
_Share = tuple[UUID, UUID]

_LINES = text(
    """
    select l.item_id, l.amount, i.amount as whole, i.source_type, i.source_id, i.created_at,
      t.payment_id, t.kind, t.provider_transfer, t.sent_at, t.created_at as planned_at,
      r.transfer_id, r.cause_type, r.cause_id, r.payment_id as reversed_payment, r.provider_reversal,
      coalesce(r.done_at, t.sent_at) as moved_at
    from payout_line l
    join payout_item i on i.platform_id = :platform and i.id = l.item_id
    left join transfer t on i.source_type = 'transfer' and t.platform_id = :platform and t.id = i.source_id
    left join reversal r on i.source_type = 'reversal' and r.platform_id = :platform and r.id = i.source_id
    where l.platform_id = :platform and l.payout_id = :payout and l.replaced_at is null
    order by i.created_at, l.item_id
    """
)
_PAYMENTS_IN = bindparam("payments", type_=ARRAY(Uuid))
_PAYMENTS = text(
    """
    select y.id, y.reference, y.currency, coalesce(y.settlement_currency, y.currency) as settled_in
    from payment y where y.platform_id = :platform and y.id = any(:payments)
    """
).bindparams(_PAYMENTS_IN)
_ORDER_LINES = text(
    """
    select payment_id, ordinal, description, external_refs, quantity, gross, fee, fee_tax, seller_net
    from payment_line where platform_id = :platform and payment_id = any(:payments) and seller_id = :seller
    order by payment_id, ordinal
    """
).bindparams(_PAYMENTS_IN)
_SHARES = text(
    """
    select payment_id, seller_net, received, settled_net, released, processor_fee
    from payment_share where platform_id = :platform and payment_id = any(:payments) and seller_id = :seller
    """
).bindparams(_PAYMENTS_IN)
_CLAWED = text(
    """
    select c.payment_id, c.cause_type, c.cause_id, c.created_at, c.returned_at,
      -- What was taken of payouts by the bank is a piece of its own.
      c.payable + coalesce((select sum(i.amount) from payout_item i where i.platform_id = :platform
        and i.source_type = c.cause_type and i.source_id = c.cause_id and i.seller_id = c.seller_id
        and i.rail = 'BANK'), 0) as payable,
      coalesce((select sum(v.amount) from reversal v where v.platform_id = :platform and v.cause_type = c.cause_type
        and v.cause_id = c.cause_id and v.seller_id = c.seller_id and v.status = 'LOWERED'), 0) as lowered
    from clawback c where c.platform_id = :platform and c.payment_id = any(:payments) and c.seller_id = :seller
    order by c.created_at
    """
).bindparams(_PAYMENTS_IN)
# What left, or came to, what was payable to the seller for these sales, other than by release and transfer.
_KEPT_BACK = text(
    """
    with span as materialized (
      select e.kind, e.source_id, e.effective_at, e.description, e.first_posting,
             e.first_posting + e.posting_count - 1 as last_posting
      from journal_entry e
      where e.platform_id = :platform and e.source_id = any(:payments) and e.source_type = 'payment'
        and e.kind in ('set-off', 'reserve', 'withholding', 'recharge')
        and not exists (select from journal_entry r where r.platform_id = :platform and r.reverses = e.id)
    )
    select span.kind, span.source_id, span.effective_at, span.description,
      sum(case when c.id is null then -p.amount else p.amount end) as amount
    from span
    cross join lateral (
      select * from posting where platform_id = :platform and number between span.first_posting and span.last_posting
      order by number limit 2000) p
    left join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id and d.code = :payable
    left join ledger_account c on c.platform_id = :platform and c.id = p.credit_account_id and c.code = :payable
    where not p.held and (d.id is not null or c.id is not null)
    group by 1, 2, 3, 4 order by 3
    """
).bindparams(_PAYMENTS_IN)
_SALES = text(
    """
    select payment_id, amount, created_at, status, kind from transfer
    where platform_id = :platform and payment_id = any(:payments) and seller_id = :seller and kind = 'SALE'
    order by created_at, id
    """
).bindparams(_PAYMENTS_IN)
_ACCOUNT = text(
    """
    select coalesce(i.request ->> 'account_id', s.provider_account) as account from seller s
    left join provider_intent i on i.platform_id = :platform and i.id = :intent
    where s.platform_id = :platform and s.id = :seller
    """
).bindparams(bindparam("intent", type_=Uuid))
_KINDS = {"set-off": LegKind.SET_OFF, "reserve": LegKind.RESERVE}


async def prove(services: Services, actor: Actor, platform: PlatformId, id: str, *, ask_provider: bool = True) -> Proof:
    """The proof of a payout (`pot_...`); a seller may have that of his own.

    With `ask_provider` the payout and every transfer in it are looked up there. Raises NotFound, and Unknown or Refused
    when the provider does not tell.
    """
    async with services.db.read(platform) as scope:
        row = await queries.payout_by_id(scope, actor, id)
        proof = await _drawn_up(scope, row)
        by_provider = row.rail == Rail.PROVIDER and row.provider_payout is not None
        if not (ask_provider and by_provider):
            return proof
        values = {"platform": platform, "intent": row.intent_id, "seller": row.seller_id}
        account = await scope.scalar(_ACCOUNT, values)
        lines = await scope.rows(_LINES, {"platform": platform, "payout": row.id})
        provider = await provider_of(services, scope)
    return await _compared(provider, account, row, lines, proof)


async def _drawn_up(scope: Scope, row: Row[Any]) -> Proof:
    lines = await scope.rows(_LINES, {"platform": scope.platform, "payout": row.id})
    book = await _read(scope, row, lines)
    return Proof(
        payout=public_id("payout", row.id),
        seller=public_id("seller", row.seller_id),
        currency=row.currency,
        amount=row.amount,
        bank=BankLine(row.bank_reference, row.amount, row.arrival_on, PayoutStatus(row.status)),
        provider_payout=row.provider_payout,
        transaction=None,
        told=None,
        asked_provider=False,
        lines=tuple(book.line(line) for line in lines),
    )


async def _compared(provider: Provider, account: str, row: Row[Any], lines: Sequence[Row[Any]], proof: Proof) -> Proof:
    """The proof with what the provider says of the payout and of each of its transfers."""
    told = await provider.retrieve_account_payout(account, row.provider_payout)
    instants = [line.moved_at for line in lines if line.moved_at is not None]
    moved: dict[str, tuple[str, int]] = {}
    if instants:
        start, end = min(instants) - _SLACK, max(instants) + _SLACK
        found = await provider.list_account_movements(
            account, created_from=start, created_until=end, limit=MOVEMENTS_MAX
        )
        for one in found:
            moved[one.reversal_id or one.transfer_id or ""] = (one.transaction.id, one.transaction.net)
    return replace(
        proof,
        told=None if told is None else told.amount,
        transaction=None if told is None else told.balance_transaction,
        bank=proof.bank
        if told is None
        else replace(proof.bank, reference=told.bank_reference or proof.bank.reference, arrival_on=told.arrival_date),
        asked_provider=True,
        lines=tuple(_with_movement(line, moved) for line in proof.lines),
    )


def _with_movement(line: ProofLine, moved: Mapping[str, tuple[str, int]]) -> ProofLine:
    id, net = moved.get(line.provider_id or "-", (None, None))
    return replace(line, transaction=id, moved=net)


class _Book:
    """What was read of the sales behind a payout, and the lines that it makes."""

    def __init__(self, row: Row[Any]) -> None:
        self.currency: str = row.currency
        self.payments: dict[UUID, Row[Any]] = {}
        self.shares: dict[UUID, Row[Any]] = {}
        self.order_lines: dict[UUID, list[Row[Any]]] = defaultdict(list)
        self.clawed: dict[UUID, list[Row[Any]]] = defaultdict(list)
        self.kept_back: dict[UUID, list[Row[Any]]] = defaultdict(list)
        self.sales: dict[UUID, list[Row[Any]]] = defaultdict(list)

    def line(self, row: Row[Any]) -> ProofLine:
        payment_id = row.payment_id or row.reversed_payment or (row.source_id if row.source_type == "payment" else None)
        sale = self.payments.get(payment_id) if payment_id else None
        return ProofLine(
            item=public_id("payout item", row.item_id),
            source=_named(row.source_type, row.source_id),
            amount=row.amount,
            whole=row.whole,
            payment=public_id("payment", payment_id) if payment_id else None,
            reference=sale.reference if sale else None,
            provider_id=row.provider_transfer or row.provider_reversal,
            legs=tuple(self._legs(row, payment_id)),
        )

    def _legs(self, row: Row[Any], payment_id: UUID | None) -> list[Leg]:
        if row.source_type == "reversal":
            cause = _named(row.cause_type, row.cause_id)
            words = f"taken back of {public_id('transfer', row.transfer_id)} for {cause}"
            return [Leg(LegKind.REVERSAL, row.whole, words, cause)]
        if row.source_type in ("refund", "dispute"):
            cause = _named(row.source_type, row.source_id)
            return [Leg(LegKind.GIVEN_BACK, row.whole, f"given back before it was paid out: {cause}", cause)]
        if payment_id is None or payment_id not in self.shares:
            return [Leg(LegKind.OTHER, row.whole, row.source_type, _named(row.source_type, row.source_id))]
        name = public_id("payment", payment_id)
        if row.kind == "RESERVE":
            return [Leg(LegKind.RESERVE_RELEASE, row.whole, "reserve that was kept of this sale", name)]
        if row.kind == "AGAIN":
            return [Leg(LegKind.AGAIN, row.whole, "taken back before, and the seller's after all", name)]
        return self._sale(row, payment_id)

    def _sale(self, row: Row[Any], payment_id: UUID) -> list[Leg]:
        """What the seller's lines earned, less all that was kept of it before it was transferred."""
        name = public_id("payment", payment_id)
        legs = [*self._earned(payment_id, name)]
        net = sum(leg.amount for leg in legs)
        share = self.shares[payment_id]
        sales = self.sales[payment_id]
        planned_at = min((one.created_at for one in sales), default=row.created_at)
        released = net if share.released is None else share.released
        if released != net:
            legs.append(Leg(LegKind.GIVEN_BACK, released - net, "given back before it was released", name))
        for one in self.kept_back[payment_id]:
            if one.effective_at <= planned_at:
                kind = _KINDS.get(one.kind, LegKind.OTHER)
                legs.append(Leg(kind, int(one.amount), one.description, name))
        for one in self.clawed[payment_id]:
            taken = int(one.payable) + int(one.lowered)
            if taken and not (one.returned_at is not None and one.returned_at <= planned_at):
                cause = _named(one.cause_type, one.cause_id)
                legs.append(Leg(LegKind.GIVEN_BACK, -taken, f"given back before it was sent: {cause}", cause))
        for one in sales:
            if one.status != "CANCELED" and one.created_at != row.planned_at:
                legs.append(Leg(LegKind.ELSEWHERE, -one.amount, "sent with another transfer", name))
        left = sum(leg.amount for leg in legs)
        if left != row.whole and transferable_part(left, self.currency) == row.whole:
            legs.append(Leg(LegKind.REMAINDER, row.whole - left, "too small to be transferred; it stays owed", name))
        return legs

    def _earned(self, payment_id: UUID, name: str) -> list[Leg]:
        """The share's net by the lines of the order; in another currency than the payout's it is told as one."""
        share, sale = self.shares[payment_id], self.payments[payment_id]
        if share.settled_net is not None and sale.currency != sale.settled_in:
            words = f"{decimal_text(share.seller_net, sale.currency)} {sale.currency} of the order, as it was converted"
            return [Leg(LegKind.CONVERTED, share.settled_net, words, name)]
        legs = [
            Leg(LegKind.ORDER_LINE, line.seller_net, _words(line, self.currency), _line_name(line))
            for line in self.order_lines[payment_id]
        ]
        if share.received:
            legs.append(Leg(LegKind.PART, share.received, "part of other sellers' lines", name))
        rest = share.seller_net - sum(leg.amount for leg in legs)
        if rest:
            legs.append(Leg(LegKind.PROVIDER_FEE, rest, "the provider's own fee in place of its estimate", name))
        return legs


async def _read(scope: Scope, row: Row[Any], lines: Sequence[Row[Any]]) -> _Book:
    book = _Book(row)
    payments = {line.payment_id or line.reversed_payment for line in lines}
    payments |= {line.source_id for line in lines if line.source_type == "payment"}
    values = {
        "platform": scope.platform,
        "payments": [id for id in payments if id],
        "seller": row.seller_id,
        "payable": f"seller:{public_id('seller', row.seller_id)}:payable",
    }
    plain = {name: values[name] for name in ("platform", "payments")}
    book.payments = {one.id: one for one in await scope.rows(_PAYMENTS, plain)}
    of_seller = plain | {"seller": row.seller_id}
    book.shares = {one.payment_id: one for one in await scope.rows(_SHARES, of_seller)}
    for one in await scope.rows(_ORDER_LINES, of_seller):
        book.order_lines[one.payment_id].append(one)
    for one in await scope.rows(_CLAWED, of_seller):
        book.clawed[one.payment_id].append(one)
    for one in await scope.rows(_SALES, of_seller):
        book.sales[one.payment_id].append(one)
    for one in await scope.rows(_KEPT_BACK, plain | {"payable": values["payable"]}):
        book.kept_back[one.source_id].append(one)
    return book


def _words(line: Row[Any], currency: str) -> str:
    parts = [f"{line.quantity} x {line.description}", f"gross {decimal_text(line.gross, currency)}"]
    if line.fee or line.fee_tax:
        parts.append(f"fee {decimal_text(line.fee, currency)} + tax {decimal_text(line.fee_tax, currency)}")
    return ", ".join(parts)


def _line_name(line: Row[Any]) -> str:
    """As the platform calls the line, or its place in the order."""
    refs: Mapping[str, str] = line.external_refs or {}
    return next(iter(refs.values()), f"line {line.ordinal + 1}")


def _named(type: str, id: UUID) -> str:
    try:
        return public_id(type, id)
    except KeyError:
        return f"{type} {id}"
