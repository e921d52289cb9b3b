"""What becomes of a sale's money when the provider settles it in another currency.

Everything that the sale left in the currency in which the buyer paid (sellers' money, the platform's fees, the tax on
them) follows the provider's money into the currency in which it arrived. What the sellers get of it is the platform's
policy; what that leaves is its margin or its loss. Every movement is against one open position, which is back at zero
in both currencies when all are booked.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from marketbill.errors import InvalidInput, Path
from marketbill.money import round_ratio
from marketbill.rules.fx import ExchangeRate, RateMissing, WrongCurrency, convert, spread
from marketbill.rules.rates import WHOLE, rate_parts


class SellerRate(StrEnum):
    """By which rate sellers get the money of a sale that was settled in another currency."""

    #: By the provider's: sellers get what it settled.
    PROVIDER = "PROVIDER"
    #: By the official middle rate of the day of the sale: the platform bears the difference.
    MID = "MID"
    #: By the provider's less a percentage, which the platform earns.
    MARKUP = "MARKUP"


class MarkupMisplaced(InvalidInput):
    """A markup without the policy that needs one, or that policy without a markup."""

    def __init__(self, policy: SellerRate, *, path: Path = ()) -> None:
        needs = "needs a markup above 0 and below 100 percent" if policy is SellerRate.MARKUP else "has no markup"
        super().__init__(f"The sellers' rate {policy} {needs}.", path=path, constraint=needs)
        self.policy = policy


@dataclass(frozen=True, slots=True)
class SellerTerms:
    """The policy; `markup` in percent, above 0 for MARKUP and 0 otherwise.

    Raises MarkupMisplaced, RateOutOfRange, RateTooPrecise.
    """

    policy: SellerRate = SellerRate.PROVIDER
    markup: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        parts = rate_parts(self.markup, path=("sellerRateMarkup",))
        if parts == WHOLE or (self.policy is SellerRate.MARKUP) is not (parts > 0):
            raise MarkupMisplaced(self.policy, path=("sellerRateMarkup",))


BY_PROVIDER = SellerTerms()


@dataclass(frozen=True, slots=True)
class Movement:
    """A debit of an account against the position, a credit where `amount` (minor units) is below zero."""

    account: str
    currency: str
    amount: int


#: The accounts that are nobody's part of the sale.
PROVIDER, MARGIN, LOSS = "provider", "margin", "loss"


@dataclass(frozen=True, slots=True)
class Settled:
    """`parts` is what each part became in the currency `into`, `margin` the platform's markup, `loss` what the promised
    rate cost it (below zero for a gain)."""

    currency: str
    into: str
    before: Mapping[str, int]
    parts: Mapping[str, int]
    margin: int
    loss: int

    @property
    def movements(self) -> tuple[Movement, ...]:
        """First the provider's money, then everybody's part, then what the rates left. They sum to zero by currency."""
        made = [
            Movement(PROVIDER, self.into, sum(self.parts.values()) + self.margin - self.loss),
            Movement(PROVIDER, self.currency, -sum(self.before.values())),
        ]
        for account, amount in self.before.items():
            made.append(Movement(account, self.currency, amount))
            made.append(Movement(account, self.into, -self.parts[account]))
        made += [Movement(MARGIN, self.into, -self.margin), Movement(LOSS, self.into, self.loss)]
        return tuple(movement for movement in made if movement.amount)


def settled(
    parts: Mapping[str, int],
    *,
    sellers: Collection[str],
    currency: str,
    into: str,
    amount: int,
    terms: SellerTerms = BY_PROVIDER,
    mid: ExchangeRate | None = None,
) -> Settled:
    """What every part of a sale becomes, when the provider settles `amount` of `into` for all of it.

    `parts` are the balances that the sale left, by account, below zero for what the platform added; they sum to what
    the buyer paid. `sellers` are those of them that are sellers' money, and to them alone the policy applies: the
    platform's own parts always follow the provider's rate. All by largest remainder: the parts, margin and loss make
    `amount`. Sellers whose fees left them nothing together have nothing that a policy could change.

    Raises RateMissing when the policy wants a middle rate and `mid` is None, WrongCurrency when it is of other
    currencies.
    """
    shares = spread(amount, parts)
    owed = {id: parts[id] for id in parts if id in sellers}
    total = sum(shares[id] for id in owed)
    promised = total
    if terms.policy is SellerRate.MARKUP:
        promised -= round_ratio(total * rate_parts(terms.markup), WHOLE)
    elif terms.policy is SellerRate.MID:
        if mid is None:
            raise RateMissing(currency, into)
        if mid.quote != into:
            raise WrongCurrency(into, mid.quote)
        promised = convert(sum(owed.values()), currency, mid)
    if not sum(owed.values()):
        promised = total
    if promised != total:
        shares |= spread(promised, owed)
    is_markup = terms.policy is SellerRate.MARKUP
    return Settled(
        currency=currency,
        into=into,
        before=dict(parts),
        parts=shares,
        margin=total - promised if is_markup else 0,
        loss=0 if is_markup else promised - total,
    )


def refunded(parts: Mapping[str, int], *, into: str, taken: int) -> tuple[Movement, ...]:
    """What a refund takes back of settled `parts`, when the provider takes `taken` for it at the rate of that day.

    Everybody gives back what he got; what the rates made of it since is the platform's loss, or its gain.
    """
    given = [Movement(account, into, amount) for account, amount in parts.items()]
    made = [*given, Movement(LOSS, into, taken - sum(parts.values())), Movement(PROVIDER, into, -taken)]
    return tuple(movement for movement in made if movement.amount)
