"""Countries an account may have, and the currency it starts with."""

from __future__ import annotations

from marketbill.sandbox.wire import Doc

_EURO = "AT BE CY DE EE ES FI FR GR HR IE IT LT LU LV MT NL PT SI SK BG"

DEFAULT_CURRENCY: dict[str, str] = {
    **dict.fromkeys(_EURO.split(), "eur"),
    "AE": "aed", "AU": "aud", "BR": "brl", "CA": "cad", "CH": "chf", "CZ": "czk", "DK": "dkk", "GB": "gbp",
    "GI": "gbp", "HK": "hkd", "HU": "huf", "IN": "inr", "IS": "isk", "JP": "jpy", "LI": "chf", "MX": "mxn",
    "MY": "myr", "NO": "nok", "NZ": "nzd", "PL": "pln", "RO": "ron", "SE": "sek", "SG": "sgd", "TH": "thb",
    "TW": "twd", "US": "usd",
    # Receive from the US alone, under the recipient agreement.
    "AR": "ars", "BD": "bdt", "BH": "bhd", "CL": "clp", "CO": "cop", "CR": "crc", "DO": "dop", "EG": "egp",
    "GH": "ghs", "ID": "idr", "IL": "ils", "JO": "jod", "KE": "kes", "KR": "krw", "KW": "kwd", "LK": "lkr",
    "MA": "mad", "NG": "ngn", "OM": "omr", "PE": "pen", "PH": "php", "PK": "pkr", "PY": "pyg", "RS": "rsd",
    "RW": "rwf", "SA": "sar", "SN": "xof", "TN": "tnd", "TR": "try", "TZ": "tzs", "UG": "ugx", "UY": "uyu",
    "VN": "vnd", "ZA": "zar",
}  # fmt: skip

#: Countries between which platforms may move money; elsewhere only within the country.
_OPEN = frozenset({*_EURO.split(), "CA", "CH", "CZ", "DK", "GB", "GI", "HU", "IS", "LI", "NO", "PL", "RO", "SE", "US"})


def may_receive(platform: Doc, account: Doc) -> bool:
    """Tell whether money of a platform may go to a connected account: in its region, or as a recipient of the US."""
    home, there = platform["country"], account["country"]
    if home == there or {home, there} <= _OPEN:
        return True
    second = account["_v2"]
    recipient = account["tos_acceptance"].get("service_agreement") == "recipient" or (
        second is not None and second["applied"] == ["recipient"]
    )
    return home == "US" and recipient
