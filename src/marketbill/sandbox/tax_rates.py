"""The tax table of the sandbox: one rate for each jurisdiction, standard rates of 2026 as published.

It is data for stories, not advice: local taxes, reduced rates and thresholds are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

#: Standard rate of value added tax in the European Union, in percent.
_EU = {
    "AT": "20", "BE": "21", "BG": "20", "HR": "25", "CY": "19", "CZ": "21", "DK": "25", "EE": "24", "FI": "25.5",
    "FR": "20", "DE": "19", "GR": "24", "HU": "27", "IE": "23", "IT": "22", "LV": "21", "LT": "21", "LU": "17",
    "MT": "18", "NL": "21", "PL": "23", "PT": "23", "RO": "21", "SK": "23", "SI": "22", "ES": "21", "SE": "25",
}  # fmt: skip
EUROPEAN_UNION = frozenset(_EU)

_ELSEWHERE = {
    "AE": ("vat", "5"), "AU": ("gst", "10"), "CH": ("vat", "8.1"), "GB": ("vat", "20"), "IN": ("gst", "18"),
    "IS": ("vat", "24"), "JP": ("jct", "10"), "LI": ("vat", "8.1"), "MX": ("vat", "16"), "MY": ("service_tax", "8"),
    "NO": ("vat", "25"), "NZ": ("gst", "15"), "SG": ("gst", "9"), "TH": ("vat", "7"), "TW": ("vat", "5"),
}  # fmt: skip

#: Sales tax of the state itself; 0 where it has none.
_US = {
    "AL": "4", "AK": "0", "AZ": "5.6", "AR": "6.5", "CA": "7.25", "CO": "2.9", "CT": "6.35", "DE": "0", "DC": "6",
    "FL": "6", "GA": "4", "HI": "4", "ID": "6", "IL": "6.25", "IN": "7", "IA": "6", "KS": "6.5", "KY": "6", "LA": "5",
    "ME": "5.5", "MD": "6", "MA": "6.25", "MI": "6", "MN": "6.875", "MS": "7", "MO": "4.225", "MT": "0", "NE": "5.5",
    "NV": "6.85", "NH": "0", "NJ": "6.625", "NM": "4.875", "NY": "4", "NC": "4.75", "ND": "5", "OH": "5.75",
    "OK": "4.5", "OR": "0", "PA": "6", "RI": "7", "SC": "6", "SD": "4.2", "TN": "7", "TX": "6.25", "UT": "4.85",
    "VT": "6", "VA": "4.3", "WA": "6.5", "WV": "6", "WI": "5", "WY": "4",
}  # fmt: skip

_CANADA = {
    "AB": ("gst", "5"), "BC": ("gst", "5"), "MB": ("gst", "5"), "NB": ("hst", "15"), "NL": ("hst", "15"),
    "NS": ("hst", "14"), "NT": ("gst", "5"), "NU": ("gst", "5"), "ON": ("hst", "13"), "PE": ("hst", "15"),
    "QC": ("gst", "5"), "SK": ("gst", "5"), "YT": ("gst", "5"),
}  # fmt: skip

#: Countries whose states (or provinces) tax for themselves: a registration and a rate are of one state.
STATES: dict[str, frozenset[str]] = {"US": frozenset(_US), "CA": frozenset(_CANADA)}

#: Tax code of what is never taxed.
NONTAXABLE = "txcd_00000000"
#: Tax code of a line that names none, and of shipping.
GENERAL, SHIPPING = "txcd_99999999", "txcd_92010001"


@dataclass(frozen=True, slots=True)
class Rate:
    """What a jurisdiction levies; ``percent`` is exact."""

    tax_type: str
    percent: Decimal
    name: str

    def on_top(self, amount: int) -> int:
        """Return the tax on an amount without it, in minor units, half up."""
        return int((amount * self.percent / 100).quantize(Decimal(1), ROUND_HALF_UP))

    def within(self, amount: int) -> int:
        """Return the tax inside an amount that includes it, in minor units, half up."""
        return int((amount * self.percent / (100 + self.percent)).quantize(Decimal(1), ROUND_HALF_UP))


_NAMES = {"vat": "VAT", "gst": "GST", "hst": "HST", "jct": "JCT", "sales_tax": "Sales Tax", "service_tax": "SST"}


def rate(country: str, state: str | None) -> Rate | None:
    """Return the rate of a jurisdiction; None for one that is not in the table."""
    if country == "US":
        found = ("sales_tax", _US[state]) if state in _US else None
    elif country == "CA":
        found = _CANADA.get(state or "")
    elif country in _EU:
        found = ("vat", _EU[country])
    else:
        found = _ELSEWHERE.get(country)
    return None if found is None else Rate(found[0], Decimal(found[1]), _NAMES[found[0]])


def tax_type(country: str) -> str:
    """Return the kind of tax a country would levy, for one where nothing is collected."""
    if country == "US":
        return "sales_tax"
    if country == "CA":
        return "gst"
    return _ELSEWHERE.get(country, ("vat", ""))[0]
