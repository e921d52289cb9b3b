"""The lines of a sale put together by seller, and the legs that its amounts are booked on."""

from collections.abc import Mapping, Sequence

from marketbill.errors import InvalidInput
from marketbill.rules.fees.schedule import FeeKind, FeePayer
from marketbill.rules.plan import Legs, LinePlan, SellerShare, Totals, add_leg, sum_amounts
from marketbill.rules.tax.fee_tax import NO_FEE_TAX, FeeTaxDecision

#: Parts of one sale: pairs of a seller whose money it is and of one who receives some of it.
PARTS_MAX = 200


class TooManyParts(InvalidInput):
    """A sale whose sellers' money goes to more than `PARTS_MAX` parts."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"The sale has {count} parts for other participants: at most {PARTS_MAX}.",
            path=("lines",),
            constraint=f"<= {PARTS_MAX} parts",
        )
        self.count = count


def shares_of(lines: Sequence[LinePlan], decisions: Mapping[str, FeeTaxDecision]) -> tuple[SellerShare, ...]:
    """The lines of each seller together, in the order of his first line, and then those who only receive, in the order
    of their ids. Raises `TooManyParts`."""
    by_seller: dict[str, list[LinePlan]] = {}
    for line in lines:
        by_seller.setdefault(line.seller_id, []).append(line)
    legs = {seller_id: _seller_legs(group) for seller_id, group in by_seller.items()}
    if (parts := sum(len(leg.parts) for leg in legs.values())) > PARTS_MAX:
        raise TooManyParts(parts)
    received: dict[str, int] = {}
    for leg in legs.values():
        for recipient, amount in leg.parts.items():
            add_leg(received, recipient, amount)

    shares: list[SellerShare] = []
    for seller_id, group in by_seller.items():
        totals = _receive(sum_amounts([line.amounts for line in group]), received.pop(seller_id, 0))
        shares.append(SellerShare(seller_id, totals, decisions[seller_id], legs[seller_id]))
    for recipient in sorted(received):
        shares.append(SellerShare(recipient, _receive(Totals(), received[recipient]), NO_FEE_TAX, Legs()))
    return tuple(shares)


def buyer_legs_of(lines: Sequence[LinePlan]) -> Legs:
    """The legs of the fees that the buyer pays."""
    legs = Legs()
    for line in lines:
        for fee in line.fees:
            if fee.payer is FeePayer.BUYER:
                add_leg(legs.fees, fee.account or "", fee.amount)
                add_leg(legs.fee_tax, fee.tax_decision.jurisdiction, fee.tax)
    return legs


def _receive(totals: Totals, amount: int) -> Totals:
    if not amount:
        return totals
    return totals._replace(received=totals.received + amount, seller_net=totals.seller_net + amount)


def _seller_legs(lines: Sequence[LinePlan]) -> Legs:
    fees: dict[str, int] = {}
    fee_tax: dict[str, int] = {}
    deemed: dict[str, int] = {}
    withheld: dict[str, int] = {}
    parts: dict[str, int] = {}
    processor = promo = 0
    for line in lines:
        promo += line.amounts.promo
        add_leg(deemed, line.sale_tax.jurisdiction, line.amounts.deemed_tax)
        for scheme, amount in line.withholdings:
            add_leg(withheld, scheme, amount)
        for fee in line.fees:
            if fee.payer is FeePayer.BUYER:
                continue
            if fee.kind is FeeKind.PLATFORM:
                add_leg(fees, fee.account or "", fee.amount)
                add_leg(fee_tax, fee.tax_decision.jurisdiction, fee.tax)
            elif fee.kind is FeeKind.PART:
                add_leg(parts, fee.recipient or "", fee.amount)
            else:
                processor += fee.amount
    return Legs(fees, fee_tax, deemed, withheld, parts, processor, promo)
