"""What the fees of one sale are computed from, beside the sale itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from marketbill.rules.fees.schedule import Period, Schedule


@dataclass(frozen=True, slots=True)
class FeeTerms:
    """The schedule in force and the instant of the sale, by which rules hold or not.

    `groups` are the groups of each seller, and `volumes` what each seller sold in the running period before this sale
    (gross, minor units of the sale's own currency), both by the seller's public id; a seller who is not named is in no
    group and has sold nothing.
    """

    schedule: Schedule
    at: datetime
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    volumes: Mapping[str, Mapping[Period, int]] = field(default_factory=dict)
