"""What the provider keeps of a charge: percent and fixed part by the platform's country and the currency."""

from __future__ import annotations

from marketbill.sandbox.currencies import exponent, step

#: Countries with European card pricing, for charges in euro.
EURO_PRICED = frozenset((
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU",
    "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
))  # fmt: skip

#: (percent in thousandths, fixed part in minor units)
US_PRICE = (29, 30)
EURO_PRICE = (15, 25)
OTHER_PER_MILLE = 29

#: Fixed part where neither price above applies, in minor units of the charge's currency.
FIXED_PART = {
    "usd": 30, "eur": 30, "gbp": 20, "jpy": 30, "cad": 30, "aud": 30, "chf": 30, "sek": 300, "dkk": 180, "nok": 200,
    "pln": 100, "czk": 650, "huf": 8500, "hkd": 235, "mxn": 300, "sgd": 50, "nzd": 30, "ron": 100, "bgn": 50,
    "brl": 39, "inr": 300, "aed": 100, "thb": 1000, "myr": 100, "twd": 1000, "isk": 4000, "ugx": 100000, "krw": 400,
    "idr": 200000, "vnd": 7000, "clp": 250, "bhd": 100, "jod": 200, "kwd": 90, "omr": 110, "tnd": 900,
}  # fmt: skip
#: Fixed part of a currency that the table does not name, by its decimals.
FIXED_PART_BY_EXPONENT = {0: 50, 2: 30, 3: 100}


def charge_fee(amount: int, *, currency: str, country: str) -> int:
    """Return the processing fee of a charge in minor units, rounded half up to what the currency can express.

    EUR 121.00 on a Dutch platform costs 1.5 % + 0.25 = 2.07.
    """
    if country == "US":
        per_mille, fixed = US_PRICE
        fixed = fixed if currency == "usd" else FIXED_PART.get(currency, FIXED_PART_BY_EXPONENT[exponent(currency)])
    elif country in EURO_PRICED and currency == "eur":
        per_mille, fixed = EURO_PRICE
    else:
        per_mille, fixed = OTHER_PER_MILLE, FIXED_PART.get(currency, FIXED_PART_BY_EXPONENT[exponent(currency)])
    least = step(currency)
    percent = (amount * per_mille + 500 * least) // (1000 * least) * least
    return percent + fixed
