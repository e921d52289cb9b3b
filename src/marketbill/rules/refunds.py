"""What a refund undoes, by the cumulative rule: all that was refunded of a line decides, and each refund is the
difference to the ones before, so that no number of small refunds gives back more than was taken."""

from dataclasses import dataclass
from typing import NamedTuple

from marketbill.errors import InvalidInput
from marketbill.money import round_ratio
from marketbill.rules.fees.charge import LineFee, percent_of
from marketbill.rules.fees.rule import FeeTaxMode
from marketbill.rules.fees.schedule import FeeKind, FeePayer
from marketbill.rules.plan import LinePlan, Totals
from marketbill.rules.rates import WHOLE, rate_parts
from marketbill.rules.tax.arithmetic import tax_on_top, tax_within


class RefundAboveLine(InvalidInput):
    """More refunded than the line was sold for, or less than nothing."""

    def __init__(self, *, line_id: str, refunded: int, gross: int) -> None:
        super().__init__(
            f"Of the line {line_id!r}, sold for {gross}, {refunded} cannot be refunded: from 0 to {gross} can.",
            path=("lines",),
            constraint=f">= 0, <= {gross}",
        )
        self.line_id = line_id
        self.refunded = refunded
        self.gross = gross


@dataclass(frozen=True, slots=True)
class FeesReturned:
    """What of the fees goes back with a refund, by its cause: the percentages, the fixed parts and the seller's part of
    the provider's fee, each in proportion. By default the percentages alone, as when the seller is at fault."""

    percent: bool = True
    fixed: bool = False
    processor: bool = False


BY_DEFAULT = FeesReturned()


class FeeBack(NamedTuple):
    """What is given back of one fee, in minor units: `amount` without its tax."""

    stack: str
    amount: int
    tax: int


@dataclass(frozen=True, slots=True)
class Refunded:
    """What was undone of a line when `amounts.gross` of it is refunded.

    The same identities hold as for the line itself. `amounts.charged` is what the buyer gets back, `seller_net` what
    the seller returns. Between two refunds `seller_net` can differ by one unit less than nothing, where a fee and its
    tax are rounded up together.
    """

    amounts: Totals
    fees: tuple[FeeBack, ...]
    withholdings: tuple[tuple[str, int], ...]

    def since(self, before: "Refunded") -> "Refunded":
        """What is to be booked now, when `before` was booked already."""
        return Refunded(
            Totals(*(now - then for now, then in zip(self.amounts, before.amounts, strict=True))),
            tuple(
                FeeBack(now.stack, now.amount - then.amount, now.tax - then.tax)
                for now, then in zip(self.fees, before.fees, strict=True)
            ),
            tuple(
                (scheme, now - then)
                for (scheme, now), (_, then) in zip(self.withholdings, before.withholdings, strict=True)
            ),
        )


def refunded(line: LinePlan, gross: int, terms: FeesReturned = BY_DEFAULT, *, untaxed: bool = False) -> Refunded:
    """All that is undone when `gross` of the line (minor units, all refunds together) is refunded.

    Tax goes back at the rate of the sale, a percentage through the tiers it was charged in, the last first, and the tax
    on a fee is what the fee that is kept does not need. The last refund takes the rest. Of an `untaxed` line all tax
    went back by itself, and the price without it in proportion. Raises `RefundAboveLine`.
    """
    sold = line.amounts
    if not 0 <= gross <= sold.gross:
        raise RefundAboveLine(line_id=line.line_id, refunded=gross, gross=sold.gross)
    net = gross - _tax_back(line, gross)
    tax = sold.tax if untaxed else gross - net
    backs = [(fee, _fee_back(fee, sold.gross, gross, terms)) for fee in line.fees]
    withheld = tuple((scheme, _share(amount, gross, sold.gross)) for scheme, amount in line.withholdings)

    def total(kind: FeeKind, payer: FeePayer, *, of_tax: bool = False) -> int:
        return sum(
            back.tax if of_tax else back.amount for fee, back in backs if fee.kind is kind and fee.payer is payer
        )

    amounts = Totals(
        gross=net + tax,
        tax=tax,
        net=net,
        shipping=_share(sold.shipping, gross, sold.gross),
        shipping_tax=_share(sold.shipping_tax, gross, sold.gross),
        discount=_share(sold.discount, gross, sold.gross),
        promo=_share(sold.promo, gross, sold.gross),
        fee=total(FeeKind.PLATFORM, FeePayer.SELLER),
        fee_tax=total(FeeKind.PLATFORM, FeePayer.SELLER, of_tax=True),
        buyer_fee=total(FeeKind.PLATFORM, FeePayer.BUYER),
        buyer_fee_tax=total(FeeKind.PLATFORM, FeePayer.BUYER, of_tax=True),
        deemed_tax=tax if sold.deemed_tax else 0,
        withheld=sum(amount for _, amount in withheld),
        processor_fee=total(FeeKind.PROCESSOR, FeePayer.SELLER),
        passed_on=total(FeeKind.PART, FeePayer.SELLER),
    )
    costs = (amounts.fee, amounts.fee_tax, amounts.deemed_tax, amounts.withheld)
    seller_net = amounts.gross - sum(costs) - amounts.processor_fee - amounts.passed_on
    return Refunded(amounts._replace(seller_net=seller_net), tuple(back for _, back in backs), withheld)


def _tax_back(line: LinePlan, gross: int) -> int:
    sold = line.amounts
    exact = tax_within(gross=gross, rate=rate_parts(line.sale_tax.rate))
    # A line's tax may be rounded otherwise than its gross would: neither tax nor net ever goes back beyond what it was.
    return max(min(round_ratio(*exact), sold.tax), gross - sold.net)


def _share(amount: int, gross: int, of: int) -> int:
    return round_ratio(amount * gross, of) if of else 0


def _fee_back(fee: LineFee, sold: int, gross: int, terms: FeesReturned) -> FeeBack:
    is_processor = fee.kind is FeeKind.PROCESSOR
    percent_kept, fixed_kept = fee.percent_part, fee.fixed_part
    if sold and (terms.processor if is_processor else terms.percent):
        percent_kept = _percent_kept(fee, sold, sold - gross)
    if sold and (terms.processor if is_processor else terms.fixed):
        fixed_kept -= round_ratio(fixed_kept * gross, sold)
    stated = percent_kept + fixed_kept
    if fee.kind is not FeeKind.PLATFORM:
        return FeeBack(fee.stack, fee.amount - stated, 0)
    if (percent_kept, fixed_kept) == (fee.percent_part, fee.fixed_part):
        return FeeBack(fee.stack, 0, 0)

    rate = rate_parts(fee.tax_decision.rate)
    if fee.tax_mode is FeeTaxMode.INCLUSIVE:
        tax_kept = round_ratio(*tax_within(gross=stated, rate=rate))
        return FeeBack(fee.stack, fee.amount - (stated - tax_kept), fee.tax - tax_kept)
    return FeeBack(fee.stack, fee.amount - stated, fee.tax - round_ratio(*tax_on_top(net=stated, rate=rate)))


def _percent_kept(fee: LineFee, sold: int, left: int) -> int:
    """The percentage on what is left of the line, as if only that had been sold."""
    if fee.percent_part != round_ratio(*percent_of(fee.base, fee.slices)):
        # It was cut, to a limit or to the line: what is left of it is in proportion.
        return round_ratio(fee.percent_part * left, sold)
    weighted, rest = 0, left
    for part, percent in fee.slices:
        inside = min(part, rest)
        weighted += inside * rate_parts(percent)
        rest -= inside
    return round_ratio(fee.base * weighted, sold * WHOLE)
