"""Exchange rates: one table that everything is converted by, read through the API and changed by the control plane.

A rate says how many units of one currency a unit of another is worth (EUR 1 = USD 1.08), in whole units, not in minor
ones. What is not set is crossed over the US dollar. Rates are exact decimals of at most :data:`SIGNIFICANT_DIGITS`
digits; an amount is rounded once, half away from zero, to what its currency can express. There is no margin: what an
account loses to exchange is what the table says.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import Any

from marketbill.sandbox.call import Call
from marketbill.sandbox.currencies import SUPPORTED, checked_currency, exponent, in_words, step
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.rendering import checked_limit
from marketbill.sandbox.wire import Doc, invalid, missing, refused

#: Digits of a crossed rate, as the provider shows them.
SIGNIFICANT_DIGITS = 6
#: Most digits of a rate that is set: as many as a JSON number carries exactly.
SET_DIGITS_MAX = 15
RATE_MIN, RATE_MAX = Decimal("1e-9"), Decimal("1e9")

_CROSSING = Context(prec=SIGNIFICANT_DIGITS, rounding=ROUND_HALF_UP)

_FRESH = """
    usd:1 aed:3.6725 afn:68.5 all:92.4 amd:387 ang:1.79 aoa:915 ars:1420 aud:1.52 awg:1.79 azn:1.7 bam:1.81 bbd:2
    bdt:121.5 bgn:1.81 bhd:0.376 bif:2950 bmd:1 bnd:1.3 bob:6.91 brl:5.4 bsd:1 btn:88 bwp:13.4 byn:3.3 bzd:2.01
    cad:1.37 cdf:2600 chf:0.81 clp:950 cny:7.12 cop:3950 crc:505 cup:24 cve:102.2 czk:22.6 djf:177.7 dkk:6.91 dop:63
    dzd:130 egp:48 ern:15 etb:145 eur:0.925926 fjd:2.27 fkp:0.76 gbp:0.76 gel:2.72 ghs:11 gip:0.76 gmd:72 gnf:8680
    gtq:7.66 gyd:209 hkd:7.78 hnl:26.2 htg:131 huf:362 idr:16500 ils:3.35 inr:88 iqd:1310 irr:42000 isk:125 jmd:160
    jod:0.709 jpy:150 kes:129 kgs:87.4 khr:4010 kmf:456 kpw:900 krw:1400 kwd:0.307 kyd:0.82 kzt:540 lak:21700
    lbp:89500 lkr:303 lrd:183 lsl:17.4 lyd:5.42 mad:9.1 mdl:16.8 mga:4450 mkd:57 mmk:2100 mnt:3590 mop:8.01 mru:39.9
    mur:45.6 mvr:15.4 mwk:1735 mxn:18.5 myr:4.21 mzn:63.9 nad:17.4 ngn:1480 nio:36.8 nok:10.05 npr:141 nzd:1.73
    omr:0.3845 pab:1 pen:3.45 pgk:4.2 php:58 pkr:281 pln:3.93 pyg:7150 qar:3.64 ron:4.7 rsd:108.5 rub:81 rwf:1447
    sar:3.75 sbd:8.23 scr:14.2 sdg:600 sek:9.45 sgd:1.3 shp:0.76 sle:23 sos:571 srd:38.6 ssp:4700 stn:22.7 svc:8.75
    syp:11000 szl:17.4 thb:32.5 tjs:9.3 tmt:3.5 tnd:2.9 top:2.4 try:41.8 ttd:6.78 twd:30.6 tzs:2450 uah:41.6 ugx:3500
    uyu:40 uzs:12100 ves:200 vnd:26300 vuv:121 wst:2.77 xaf:607 xcd:2.7 xcg:1.79 xof:607 xpf:110.5 yer:239 zar:17.3
    zmw:23.5 zwg:26.7
"""
#: Units of each currency for one US dollar, as a fresh sandbox has them.
PER_USD = {currency: Decimal(rate) for currency, rate in (pair.split(":") for pair in _FRESH.split())}


@dataclass(frozen=True, slots=True)
class Converted:
    """An amount in minor units after exchange; ``rate`` is None when it was in this currency already."""

    amount: int
    currency: str
    rate: Decimal | None


def rate(desk: Desk, base: str, quote: str) -> Decimal:
    """Return how many units of ``quote`` one unit of ``base`` is worth: as it was set, or crossed.

    Setting one direction gives the other as its reciprocal, until that is set itself.
    """
    if base == quote:
        return Decimal(1)
    found = dict(
        desk.store.db.execute(
            "SELECT base, rate FROM exchange_rates WHERE (base = ?1 AND quote = ?2) OR (base = ?2 AND quote = ?1)",
            (base, quote),
        ).fetchall()
    )
    if base in found:
        return Decimal(found[base])
    if quote in found:
        return _CROSSING.divide(Decimal(1), Decimal(found[quote]))
    return _CROSSING.divide(PER_USD[quote], PER_USD[base])


def convert(desk: Desk, amount: int, currency: str, into: str, *, nothing_allowed: bool = False) -> Converted:
    """Exchange a signed amount in minor units by the rate of now.

    :raises ApiError: nothing is left of it in the other currency, unless that is allowed: for what happens by the
        clock there is nobody to refuse.
    """
    if currency == into:
        return Converted(amount, into, None)
    now = rate(desk, currency, into)
    exact = Decimal(amount) * now * Decimal(10) ** (exponent(into) - exponent(currency))
    least = step(into)
    # ROUND_HALF_UP rounds a half away from zero.
    rounded = int((exact / least).quantize(Decimal(1), rounding=ROUND_HALF_UP)) * least
    if rounded == 0 and amount != 0 and not nothing_allowed:
        raise refused(
            f"Amount must convert to at least {in_words(least, into)}. {in_words(abs(amount), currency)} converts to "
            f"less than that at the rate of {now}.",
            code="amount_too_small",
            param="amount",
        )
    return Converted(rounded, into, now)


def settlement_currency(desk: Desk, account: str, currency: str) -> str:
    """Return the currency in which money of ``currency`` comes into an account's balance, or leaves it.

    A platform keeps every currency, unless it was made to settle in its default one. A connected account keeps what it
    holds: its default currency and those of its bank accounts; the bank account that the sandbox's own onboarding gave
    takes every currency. Anything else becomes its default currency.
    """
    doc = desk.store.get("account", account)
    default = doc["default_currency"]
    if currency == default:
        return currency
    if desk.platform_of(account) == account:
        return default if doc.get("_settle") == "default" else currency
    if doc.get("_any_currency") or any(bank["currency"] == currency for bank in doc["external_accounts"]["data"]):
        return currency
    return default


def set_rates(desk: Desk, base: str, rates: dict[str, Any]) -> Doc:
    """Set what a unit of ``base`` is worth in other currencies and return its rates; inside a transaction.

    :raises ApiError: an unknown currency, or a rate that is no positive decimal of a reasonable size.
    """
    for quote, given in rates.items():
        param = f"rates[{quote}]"
        currency = checked_currency(quote, param=param)
        if currency == base:
            raise invalid(f"A unit of {base} is always worth 1 {base}.", param=param)
        desk.store.db.execute(
            "INSERT OR REPLACE INTO exchange_rates (base, quote, rate) VALUES (?, ?, ?)",
            (base, currency, str(_checked_rate(given, param))),
        )
    return _of(desk, base)


def _checked_rate(given: Any, param: str) -> Decimal:
    try:
        value = Decimal(given if isinstance(given, str) else str(given))
    except DecimalException:
        value = Decimal("NaN")
    digits = value.as_tuple().digits
    if isinstance(given, bool) or not value.is_finite() or not RATE_MIN <= value <= RATE_MAX:
        raise invalid(
            f"Invalid rate: {given}. It must be a decimal from {RATE_MIN} to {RATE_MAX}, like 1.35883.", param=param
        )
    if len(digits) > SET_DIGITS_MAX:
        raise invalid(f"Invalid rate: {given}. It may have at most {SET_DIGITS_MAX} digits.", param=param)
    return value


def _of(desk: Desk, base: str) -> Doc:
    return {
        "id": base,
        "object": "exchange_rate",
        "rates": {quote: float(rate(desk, base, quote)) for quote in sorted(SUPPORTED) if quote != base},
    }


def retrieve(call: Call) -> Doc:
    base = call.path["id"].lower()
    if base not in SUPPORTED:
        raise missing("exchange rate", call.path["id"])
    return _of(call.desk, base)


def listing(call: Call) -> Doc:
    """List the rates by currency, in alphabetical order."""
    params = call.params
    limit = checked_limit(params)
    names = sorted(SUPPORTED)
    after, before = params.get("starting_after"), params.get("ending_before")
    if after and before:
        raise invalid("You can only specify one of these parameters: starting_after, ending_before.")
    for name, cursor in (("starting_after", after), ("ending_before", before)):
        if cursor and cursor not in SUPPORTED:
            raise missing("exchange rate", cursor, param=name, status=400)
    if after:
        names = names[names.index(after) + 1 :]
    if before:
        names = names[: names.index(before)]
    chosen = names[-limit:] if before else names[:limit]
    return {
        "object": "list",
        "url": "/v1/exchange_rates",
        "has_more": len(names) > limit,
        "data": [_of(call.desk, base) for base in chosen],
    }
