"""VAT numbers checked offline, by form and check digits."""

from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError
from stdnum.util import clean, get_cc_module

from marketbill.rules.countries import COUNTRIES, EU_MEMBERS

_VAT_NUMBER_LENGTH_MAX = 32
#: The only member state whose VAT prefix is not its country code (Council Directive 2006/112/EC, art. 215).
_VAT_PREFIXES = {"GR": "EL"}


def vat_number_valid(*, country: str, number: str) -> bool:
    """Whether a VAT number has the form and check digits of its country; the prefix may be left out in the Union.

    Offline: a number that was never issued, or was withdrawn, still passes. A country whose numbers we cannot check
    answers False.
    """
    if len(number) > _VAT_NUMBER_LENGTH_MAX or country not in COUNTRIES:
        return False
    if country in EU_MEMBERS:
        prefix = _VAT_PREFIXES.get(country, country)
        try:
            compact = clean(number, " -./").upper()
        except ValidationError:
            return False
        return eu_vat.is_valid(compact if compact.startswith(prefix) else prefix + compact)
    check = get_cc_module(country, "vat")
    return check is not None and bool(check.is_valid(number))
