"""Where a customer is for tax: an address resolved to its jurisdiction."""

from __future__ import annotations

import re
from dataclasses import dataclass

from marketbill.sandbox.tax_rates import STATES
from marketbill.sandbox.wire import ApiError, Doc, invalid

NOT_DETERMINED = "We could not determine the customer's tax location based on the provided customer address."

#: First three digits of the postal codes of each state of the US, as ranges.
_US_POSTAL = {
    "AL": "350-369", "AK": "995-999", "AZ": "850-865", "AR": "716-729", "CA": "900-961", "CO": "800-816",
    "CT": "060-062 064-069", "DE": "197-199", "DC": "200-200 202-205", "FL": "320-349", "GA": "300-319 398-399",
    "HI": "967-968", "ID": "832-838", "IL": "600-629", "IN": "460-479", "IA": "500-528", "KS": "660-679",
    "KY": "400-427", "LA": "700-714", "ME": "039-049", "MD": "206-219", "MA": "010-027", "MI": "480-499",
    "MN": "550-567", "MS": "386-397", "MO": "630-658", "MT": "590-599", "NE": "680-693", "NV": "889-898",
    "NH": "030-038", "NJ": "070-089", "NM": "870-884", "NY": "005-005 063-063 100-149", "NC": "270-289",
    "ND": "580-588", "OH": "430-459", "OK": "730-732 734-749", "OR": "970-979", "PA": "150-196", "RI": "028-029",
    "SC": "290-299", "SD": "570-577", "TN": "370-385", "TX": "733-733 750-799 885-885", "UT": "840-847",
    "VT": "050-059", "VA": "201-201 220-246", "WA": "980-994", "WV": "247-268", "WI": "530-549", "WY": "820-831",
}  # fmt: skip
_US_STATE = {
    f"{prefix:03}": state
    for state, ranges in _US_POSTAL.items()
    for first, last in (part.split("-") for part in ranges.split())
    for prefix in range(int(first), int(last) + 1)
}
#: First letter of the postal codes of each province of Canada; X is shared, so it says nothing.
_CANADA_PROVINCE = {
    "A": "NL", "B": "NS", "C": "PE", "E": "NB", "G": "QC", "H": "QC", "J": "QC", "K": "ON", "L": "ON", "M": "ON",
    "N": "ON", "P": "ON", "R": "MB", "S": "SK", "T": "AB", "V": "BC", "Y": "YT",
}  # fmt: skip
_US_CODE = re.compile(r"\d{5}(-?\d{4})?")


@dataclass(frozen=True, slots=True)
class Place:
    """A jurisdiction; ``state`` only in countries whose states tax for themselves."""

    country: str
    state: str | None

    @property
    def name(self) -> str:
        return f"{self.state}, {self.country}" if self.state else self.country


def place_of(address: Doc, *, param: str) -> Place:
    """Return the jurisdiction of an address.

    :raises ApiError: ``customer_tax_location_invalid``, naming ``param``; or the country is no country code.
    """
    country = (address.get("country") or "").upper()
    if not re.fullmatch(r"[A-Z]{2}", country):
        raise invalid(
            f"Country '{country}' is unknown. Try using a 2-character alphanumeric country code instead.",
            code="country_code_invalid",
            param=f"{param}[country]",
        )
    if country not in STATES:
        return Place(country, None)
    state = (address.get("state") or "").upper()
    code = (address.get("postal_code") or "").strip().upper()
    if country == "US":
        # A state alone is not enough to know the local rate, so the postal code is what counts.
        known = _US_STATE.get(code[:3]) if _US_CODE.fullmatch(code) else None
        found = (state or known) if known else None
    else:
        found = state or _CANADA_PROVINCE.get(code[:1])
    if found not in STATES[country]:
        raise not_determined(param)
    return Place(country, found)


def not_determined(param: str) -> ApiError:
    return invalid(NOT_DETERMINED, code="customer_tax_location_invalid", param=param)
