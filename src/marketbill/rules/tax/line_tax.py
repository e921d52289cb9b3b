"""The tax on one line of a sale as it was decided: the rate, who owes it, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class Liable(StrEnum):
    """Who accounts for the tax on a sale to the tax office."""

    #: The seller: it stays with his money.
    SELLER = "SELLER"
    #: The platform, as deemed supplier or marketplace facilitator: it leaves the seller's money.
    PLATFORM = "PLATFORM"
    #: The buyer, a business, by reverse charge: none is charged.
    BUYER = "BUYER"
    #: Nobody: exempt, or outside the scope of the tax.
    NOBODY = "NOBODY"


class TaxRounding(StrEnum):
    """Whether tax is rounded for each line, or once for the lines of one seller and rate and then shared out."""

    LINE = "LINE"
    DOCUMENT = "DOCUMENT"


@dataclass(frozen=True, slots=True)
class Withholding:
    """Tax that a law makes the platform keep from what it pays the seller: `rate` percent of the line's net.

    `scheme` names its account `tax:withheld:*`.
    """

    scheme: str
    rate: Decimal
    rule: str


@dataclass(frozen=True, slots=True)
class LineTax:
    """The decision on one line. `rate` in percent; `rule` its id; `label` the words for the invoice.

    `jurisdiction` is where it is owed (`NL`, `US-CA`; empty when nobody knows or nothing is owed), `category` the
    category of rates it was found in, `source` the law that says so, and `evidence` the facts that decided. `known` is
    False for a line whose seller alone knows its tax: it then counts as zero, and no fee may be based on the net.
    """

    rate: Decimal
    liable: Liable
    rule: str
    label: str = ""
    jurisdiction: str = ""
    category: str = ""
    source: str = ""
    rounding: TaxRounding = TaxRounding.LINE
    withheld: tuple[Withholding, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)
    known: bool = True
