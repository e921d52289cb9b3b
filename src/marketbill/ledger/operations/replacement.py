"""What is booked in place of an entry that is reversed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from marketbill.errors import InvalidInput, Path
from marketbill.ledger.chart import UnknownAccount, named
from marketbill.ledger.entry import POSTINGS_MAX, Posting
from marketbill.money import AMOUNT_MINOR_MAX
from marketbill.text import check_usable

#: The kind of an entry whose legs are those of no flow.
MANUAL = "manual"

DESCRIPTION_LENGTH_MAX = 500


class Asked(NamedTuple):
    """A posting as somebody asks for it: account codes, minor units, currency."""

    debit: str
    credit: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """`kind` None: the kind and source of the entry that is reversed; or MANUAL."""

    postings: tuple[Posting, ...]
    description: str
    kind: str | None = None

    def as_json(self) -> dict[str, Any]:
        legs = [[p.debit.code, p.credit.code, p.amount, p.debit.currency] for p in self.postings]
        return {"kind": self.kind, "description": self.description, "postings": legs}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Replacement":
        return cls(tuple(_posting(Asked(*leg)) for leg in kept["postings"]), kept["description"], kept["kind"])

    @classmethod
    def asked(cls, postings: Sequence[Asked], *, description: str, kind: str | None = None) -> "Replacement":
        """From what came in from outside. Raises InvalidInput, UnknownAccount and UnknownCurrency, with the field."""
        check_usable(description, path=("replacement", "description"))
        if len(description) > DESCRIPTION_LENGTH_MAX:
            rule = f"<= {DESCRIPTION_LENGTH_MAX} characters"
            raise InvalidInput("The description is too long.", path=("replacement", "description"), constraint=rule)
        if not 1 <= len(postings) <= POSTINGS_MAX:
            rule = f"1..{POSTINGS_MAX} postings"
            raise InvalidInput(f"A replacement has {rule}.", path=("replacement", "postings"), constraint=rule)
        return cls(tuple(_checked(leg, place) for place, leg in enumerate(postings)), description, kind)


def _checked(leg: Asked, place: int) -> Posting:
    path = ("replacement", "postings", str(place))
    if not 0 < leg.amount <= AMOUNT_MINOR_MAX:
        rule = f"1..{AMOUNT_MINOR_MAX}"
        raise InvalidInput("A posting moves a positive amount.", path=(*path, "amount", "minor"), constraint=rule)
    for side, code in (("debit", leg.debit), ("credit", leg.credit)):
        _known(code, leg.currency, (*path, side))
    if leg.debit == leg.credit:
        raise InvalidInput("A posting needs two accounts.", path=(*path, "credit"), constraint="not the debit account")
    return _posting(leg)


def _known(code: str, currency: str, path: Path) -> None:
    try:
        named(code, currency)
    except UnknownAccount as unknown:
        unknown.path = path
        raise


def _posting(leg: Asked) -> Posting:
    return Posting(named(leg.debit, leg.currency), named(leg.credit, leg.currency), leg.amount)
