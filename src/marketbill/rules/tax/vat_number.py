"""VAT numbers checked offline, by form and check digits, and whose they are."""

from typing import Any

from stdnum.eu import oss
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError
from stdnum.util import clean, get_cc_module

from marketbill.errors import InvalidInput, Path
from marketbill.rules.countries import COUNTRIES, EU_MEMBERS

_VAT_NUMBER_LENGTH_MAX = 32
#: The only member state whose VAT prefix is not its country code (Council Directive 2006/112/EC, art. 215).
_VAT_PREFIXES = {"GR": "EL"}
#: Countries whose numbers are written with a prefix that tells them from others', beside the member states.
_PREFIXED = {"GB": "GB", "NO": "NO", "CH": "CHE"}
#: What each country calls the number, for messages.
_NAMES = {"AU": "ABN", "CA": "business number", "IN": "GSTIN", "NZ": "GST (IRD) number"}
#: A number as people in the country would write one, for messages.
_EXAMPLES = {
    "AU": "83 914 571 673",
    "CH": "CHE-107.787.577 MWST",
    "GB": "GB980780684",
    "IN": "27AAPFU0939F1ZV",
    "NO": "NO 995525828 MVA",
    "NZ": "49-091-850",
}


class VatNumberOfAnotherCountry(InvalidInput):
    """A VAT number that is good, but in another country than the one where its holder is established."""

    def __init__(self, number: str, *, country: str, belongs_to: str, path: Path = ()) -> None:
        super().__init__(
            f"The VAT number {number!r} is one of {belongs_to}, and the seller is established in {country}: give his"
            f" {_wanted(country)}. What he has elsewhere goes into the tax registrations (such as {belongs_to!r}).",
            path=path,
            constraint=f"a VAT number of {country}",
        )
        self.number = number
        self.country = country
        self.belongs_to = belongs_to


class OneStopShopNumber(InvalidInput):
    """A number of the One Stop Shop (`EU…`) or of its import scheme (`IM…`) in the place of a country's VAT number."""

    def __init__(self, number: str, *, country: str, path: Path = ()) -> None:
        super().__init__(
            f"{number!r} is a number of the One Stop Shop: give the {_wanted(country)}, and 'EU' among the tax"
            " registrations.",
            path=path,
            constraint=f"a VAT number of {country}",
        )
        self.number = number
        self.country = country


def vat_number_valid(*, country: str, number: str) -> bool:
    """Whether a VAT number has the form and check digits of its country; the prefix may be left out in the Union.

    `XI` stands for Northern Ireland beside the ISO codes. Elsewhere it is the number by which sales tax is accounted
    for: Australia's ABN, India's GSTIN, New Zealand's IRD number, Canada's business number.
    Offline: a number that was never issued, or was withdrawn, still passes. A country whose numbers we cannot check
    answers False.
    """
    if len(number) > _VAT_NUMBER_LENGTH_MAX or country not in COUNTRIES | {"XI"}:
        return False
    try:
        compact = clean(number, " -./").upper()
    except ValidationError:
        return False
    if country in EU_MEMBERS:
        prefix = vat_prefix(country)
        return eu_vat.is_valid(compact if compact.startswith(prefix) else prefix + compact)
    check: Any = get_cc_module("GB" if country == "XI" else country, "vat")
    return check is not None and bool(check.is_valid(number))


def vat_prefix(country: str) -> str:
    """The letters that a country's VAT numbers begin with: its code, but `EL` for Greece."""
    return _VAT_PREFIXES.get(country, country)


def without_prefix(country: str, number: str) -> str:
    """The digits and letters of a valid number of the Union (or `XI`) alone."""
    compact = clean(number, " -./").upper()
    return compact.removeprefix(vat_prefix(country))


def one_stop_shop_number_valid(number: str) -> bool:
    """Whether it has the form of a number of the One Stop Shop outside the Union's own states (`EU372022452`) or of the
    import scheme (`IM…`). (In the Union scheme a business keeps its own VAT number.) Their check digits are secret."""
    return len(number) <= _VAT_NUMBER_LENGTH_MAX and bool(oss.is_valid(number))


def check_country(*, country: str, number: str, path: Path = ()) -> None:
    """Refuses a number that plainly belongs elsewhere: `VatNumberOfAnotherCountry`, `OneStopShopNumber`.

    A number that is good nowhere passes here; `vat_number_valid` tells that it is not.
    """
    if vat_number_valid(country=country, number=number):
        return
    if one_stop_shop_number_valid(number):
        raise OneStopShopNumber(number, country=country, path=path)
    try:
        compact = clean(number, " -./").upper()
    except ValidationError:
        return
    for other, prefix in _prefixes().items():
        if other != country and compact.startswith(prefix) and vat_number_valid(country=other, number=number):
            raise VatNumberOfAnotherCountry(number, country=country, belongs_to=other, path=path)


def _prefixes() -> dict[str, str]:
    return {member: vat_prefix(member) for member in sorted(EU_MEMBERS)} | _PREFIXED


def _wanted(country: str) -> str:
    name = _NAMES.get(country, "VAT number")
    if country in EU_MEMBERS:
        return f"{name} of {country}, which begins with {vat_prefix(country)}"
    example = _EXAMPLES.get(country)
    return f"{name} of {country}" + (f", such as {example!r}" if example else "")
