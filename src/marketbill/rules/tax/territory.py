"""Parts of a country where its tax is another, or none: told by country code and postcode."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from marketbill.errors import InvalidInput

#: Characters that people write inside a postcode and that tell nothing.
_FILLERS = str.maketrans("", "", " -.")


class TerritoryEffect(StrEnum):
    """What a territory changes."""

    #: Its tax is not the country's: a supply there is outside the scope of the country's tax (an export, for goods).
    OUTSIDE = "OUTSIDE"
    #: The country's tax, at the rates of `jurisdiction`.
    OWN_RATES = "OWN_RATES"
    #: Treated as a part of `jurisdiction`, though the country code is another (Monaco as France).
    PART_OF = "PART_OF"


@dataclass(frozen=True, slots=True)
class Territory:
    """A territory. `prefixes` are the beginnings of its postcodes (`35`, `BT`); none means the whole country code.

    `jurisdiction` is whose rates hold there, empty where `effect` is OUTSIDE. `outside_union`: outside the territory of
    the Union's VAT (Directive 2006/112/EC, art. 6), whatever tax the country charges there.
    """

    code: str
    country: str
    name: str
    prefixes: tuple[str, ...]
    effect: TerritoryEffect
    jurisdiction: str
    outside_union: bool
    legal_source: str
    source_url: str
    note: str = ""


class TerritoryUnsound(InvalidInput):
    """A territory that has no source, or that does not say whose rates hold there."""

    def __init__(self, territory: Territory, fault: str, fix: str) -> None:
        super().__init__(f"The territory {territory.code} {fault}: {fix}.", path=("territories", territory.code))
        self.territory = territory


def check_territories(territories: Iterable[Territory]) -> None:
    """Raises `TerritoryUnsound` for the first territory that cannot be used."""
    taken: dict[tuple[str, str], Territory] = {}
    for one in territories:
        if not one.legal_source or not one.source_url.startswith("https://"):
            raise TerritoryUnsound(one, "has no source", "name the law and the https page where it can be read")
        if (one.effect is TerritoryEffect.OUTSIDE) == bool(one.jurisdiction):
            raise TerritoryUnsound(
                one, "is unclear about its rates", "OUTSIDE has no jurisdiction, every other effect has one"
            )
        for prefix in one.prefixes or ("",):
            if (other := taken.setdefault((one.country, prefix), one)) is not one:
                raise TerritoryUnsound(one, f"shares {one.country} {prefix!r} with {other.code}", "give it to one")


def normal_postcode(postcode: str) -> str:
    """A postcode in capitals without the spaces and dashes people write: `bt1 5gs` is `BT15GS`."""
    return postcode.upper().translate(_FILLERS)
