"""A fee schedule: the rules that all fees of a platform come from, published as one version and never edited."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from marketbill.rules.fees.conditions import ALWAYS, Conditions
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope


class FeeKind(StrEnum):
    """Whose money a fee becomes."""

    #: The platform's own revenue: a commission of the seller, or a service fee of the buyer.
    PLATFORM = "PLATFORM"
    #: The seller's part of what the payment provider charges; an estimate until the provider tells its fee.
    PROCESSOR = "PROCESSOR"
    #: Another participant's (affiliate, courier, second platform): part of the seller's money goes to him.
    PART = "PART"


class FeePayer(StrEnum):
    """Who bears a fee. Only fees of kind PLATFORM may be the buyer's: they come on top of the price."""

    SELLER = "SELLER"
    BUYER = "BUYER"


class FeeBase(StrEnum):
    """What a percentage is taken of: with the sales tax or without, with the line's shipping or without."""

    GROSS = "GROSS"
    NET = "NET"
    GROSS_PLUS_SHIPPING = "GROSS_PLUS_SHIPPING"
    NET_PLUS_SHIPPING = "NET_PLUS_SHIPPING"


class TierMode(StrEnum):
    """GRADUATED: each part of the volume at its own tier's rate. VOLUME: a whole sale at the rate it reaches."""

    GRADUATED = "GRADUATED"
    VOLUME = "VOLUME"


class Period(StrEnum):
    """Over which the volume of a seller is counted, by calendar in UTC."""

    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"


class Unmatched(StrEnum):
    """What a line that no rule of a required stack holds for means: the sale is refused, or the line is free."""

    REFUSE = "REFUSE"
    FREE = "FREE"


class AboveLine(StrEnum):
    """What fees above what the line pays its seller mean: they are cut to it (and flagged), or the sale is refused."""

    BOUND = "BOUND"
    REFUSE = "REFUSE"


@dataclass(frozen=True, slots=True)
class Tier:
    """From this volume on (minor units by currency; 0 for the first tier), this percentage."""

    start: Mapping[str, int]
    percent: Decimal


@dataclass(frozen=True, slots=True)
class Tiers:
    """Percentages by the seller's volume of the running period, in the sale's own currency."""

    mode: TierMode
    period: Period
    steps: tuple[Tier, ...]


@dataclass(frozen=True, slots=True)
class FeeRule:
    """One rule. Rules of one `stack` compete and one of them is charged; the stacks add up.

    `name` is unique in the schedule. `account` is the name under `revenue:platform-fee:*` that a PLATFORM fee is booked
    to (None: `revenue:platform-fee` itself), `recipient` the seller's public id that a PART goes to. `position`: lower
    goes first, before all rules without one. `percent` has at most four decimals, and gives way to `tiers`. `fixed`,
    `minimum` and `maximum` are minor units by currency, never converted; an empty mapping means none in any currency.
    `holds_from` and `holds_until` (exclusive) limit it in time, as for a seller's exception. `based_on` names the stack
    whose fee is the base instead of the line, for a fee on a fee. `actual_share`, of a PROCESSOR fee: the percentage of
    the provider's own fee that the seller bears once it is known, in place of the estimate; None: the estimate stands.
    """

    name: str
    stack: str = "commission"
    kind: FeeKind = FeeKind.PLATFORM
    payer: FeePayer = FeePayer.SELLER
    account: str | None = None
    recipient: str | None = None
    position: int | None = None
    when: Conditions = ALWAYS
    percent: Decimal = Decimal(0)
    tiers: Tiers | None = None
    fixed: Mapping[str, int] = field(default_factory=dict)
    fixed_scope: FixedScope = FixedScope.ORDER
    minimum: Mapping[str, int] = field(default_factory=dict)
    maximum: Mapping[str, int] = field(default_factory=dict)
    base: FeeBase = FeeBase.GROSS
    tax_mode: FeeTaxMode = FeeTaxMode.EXCLUSIVE
    holds_from: datetime | None = None
    holds_until: datetime | None = None
    based_on: str | None = None
    actual_share: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """One version of a platform's schedule. `id` is public (`fee_…`). `required` are the stacks that must hold for
    every line, else `unmatched` says what happens."""

    id: str
    version: int
    rules: tuple[FeeRule, ...]
    required: frozenset[str] = frozenset({"commission"})
    unmatched: Unmatched = Unmatched.REFUSE
    above_line: AboveLine = AboveLine.BOUND
    name: str = ""

    def reference(self, rule: FeeRule) -> str:
        """The rule and its version as every explained amount names them: `fee:fee_01…@3/commission`."""
        return f"fee:{self.id}@{self.version}/{rule.name}"
