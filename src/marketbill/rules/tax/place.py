"""Where a line is supplied, and how its parties stand to that place."""

from dataclasses import dataclass

from marketbill.errors import InvalidInput, Path
from marketbill.rules.basket import BasketLine
from marketbill.rules.countries import EU_MEMBERS, known_country
from marketbill.rules.tax.parties import PlatformTax, SellerTax
from marketbill.rules.tax.rate_table import RateTable
from marketbill.rules.tax.supply import ON_THE_SPOT
from marketbill.rules.tax.terms import TaxTerms
from marketbill.rules.tax.territory import TerritoryEffect

#: Countries whose sales taxes are those of their states and provinces.
REGIONAL = frozenset({"US", "CA"})
#: Northern Ireland: in the Union's rules for goods and in the United Kingdom's for everything else.
NORTHERN_IRELAND = "XI"
_UNION = "EU"


class BuyerPlaceMissing(InvalidInput):
    """A line that is taxed where its buyer is, and nobody says where that is."""

    def __init__(self, line_id: str, *, path: Path) -> None:
        super().__init__(
            f"The line {line_id!r} is taxed where its buyer is: give the buyer's country (and postcode), or state the"
            " line's rate.",
            path=path,
            constraint="ISO 3166-1 alpha-2 code",
        )
        self.line_id = line_id


class BuyerRegionMissing(InvalidInput):
    """A buyer in a country whose states or provinces tax sales, without his own or with another country's."""

    def __init__(self, country: str, region: str, *, path: Path = ("buyer", "region")) -> None:
        told = f"{region[:10]!r} is none" if region else "the region is missing"
        super().__init__(
            f"Sales in {country} are taxed by state or province and {told}: give its ISO 3166-2 code such as"
            f" '{country}-{'CA' if country == 'US' else 'ON'}'.",
            path=path,
            constraint="ISO 3166-2 code",
        )
        self.country = country
        self.region = region


@dataclass(frozen=True, slots=True)
class Place:
    """A place of supply. `country` is whose tax it is (ISO 3166-1, `XI`; that of the territory where it has its own),
    `jurisdiction` whose rates hold, `codes` by which the table of liability knows it."""

    country: str
    jurisdiction: str
    codes: tuple[str, ...]

    @property
    def is_union(self) -> bool:
        return _UNION in self.codes


def place_of_supply(line: BasketLine, kind: str, terms: TaxTerms, table: RateTable, *, path: Path) -> Place:
    """Where a line is taxed.

    Goods where their transport ends, e-services where the buyer is (Directive 2006/112/EC, art. 31 to 33, 44 and 58,
    and what other countries took from it); what is supplied on the spot where that is (art. 47, 48, 53 and 55); other
    services at the business that buys them or at the seller's for a consumer (art. 44 and 45).
    Raises `BuyerPlaceMissing`, `BuyerRegionMissing` and `UnknownCountry`.
    """
    seller, buyer = terms.sellers[line.seller_id], terms.buyer
    if kind in ON_THE_SPOT:
        return place(line.ship_from or seller.country, table, goods=False, path=path)
    if kind == "SERVICE" and not buyer.business:
        return place(seller.country, table, goods=False, path=path)
    if not buyer.country:
        raise BuyerPlaceMissing(line.id, path=("buyer", "country"))
    if buyer.country in REGIONAL and not buyer.region.startswith(f"{buyer.country}-"):
        raise BuyerRegionMissing(buyer.country, buyer.region)
    return place(buyer.country, table, region=buyer.region, postcode=buyer.postcode, goods=kind == "GOODS", path=path)


def place(
    country: str, table: RateTable, *, region: str = "", postcode: str = "", goods: bool, path: Path = ()
) -> Place:
    """A place by its address. Raises `UnknownCountry`."""
    known_country(country, path=path)
    territory = table.territory(country, postcode)
    jurisdiction = country
    if territory is not None:
        if territory.effect is TerritoryEffect.OUTSIDE:
            return Place(territory.code, territory.code, (territory.code,))
        jurisdiction = territory.jurisdiction
        if jurisdiction == NORTHERN_IRELAND:
            own = NORTHERN_IRELAND if goods else "GB"
            return Place(own, own, (own,))
        if territory.effect is TerritoryEffect.PART_OF:
            country = jurisdiction.partition("-")[0]
        if territory.outside_union:
            return Place(country, jurisdiction, (country,))
    if country in REGIONAL and region:
        return Place(country, region, (country, region))
    return Place(country, jurisdiction, (country, _UNION) if country in EU_MEMBERS else (country,))


def goods_tokens(place: Place, *, ship_from: str, seller_country: str) -> frozenset[str]:
    """Where goods are, seen from the place: see `liability.TOKENS`. The Union, with Northern Ireland's goods in it, is
    one territory; everywhere else a country's border is what counts."""
    home = {"FROM_HOME"} if ship_from == seller_country else set[str]()
    if place.country == NORTHERN_IRELAND:
        where = "LOCAL" if ship_from == "GB" else "CROSS" if ship_from in EU_MEMBERS else "IMPORT"
    elif ship_from == place.country:
        where = "LOCAL"
    else:
        where = "CROSS" if place.is_union and ship_from in EU_MEMBERS else "IMPORT"
    return frozenset({where, *home})


def party_tokens(place: Place, *, country: str, registrations: frozenset[str]) -> set[str]:
    """How a seller or the platform stands to the place: see `liability.TOKENS`."""
    home = "GB" if place.country == NORTHERN_IRELAND else place.country
    tokens = {"HERE" if country == home else "ABROAD", "UNION" if country in EU_MEMBERS else "OUTSIDE"}
    # A registration for a state is none for its country; one for the country holds in all its provinces.
    wanted = {place.jurisdiction} if place.country == "US" else {place.country, place.jurisdiction}
    if registrations & wanted:
        tokens.add("REGISTERED")
    if _UNION in registrations:
        tokens.add("OSS")
    return tokens


def seller_tokens(place: Place, seller: SellerTax, *, country: str) -> frozenset[str]:
    """The seller's, with what only he can be."""
    tokens = party_tokens(place, country=country, registrations=seller.registrations)
    if seller.small_business:
        tokens.add("SMALL")
    if seller.vat_number_valid:
        tokens.add("NUMBER")
    return frozenset(tokens)


def platform_tokens(place: Place, platform: PlatformTax, *, country: str) -> frozenset[str]:
    return frozenset(party_tokens(place, country=country, registrations=platform.registrations))
