"""The return of the One Stop Shop: amounts computed by hand, and what no order or grouping may change."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketbill.money import round_half_away
from marketbill.rules.fx import ExchangeRate, RateMissing
from marketbill.rules.tax.oss import NotAQuarter, OssSales, Quarter, SupplyType, oss_return

NOW, BEFORE = Quarter(2026, 4), Quarter(2026, 3)
GOODS, SERVICES = SupplyType.GOODS, SupplyType.SERVICES


def euro_for(currency: str, numerator: int, denominator: int, on: date = date(2026, 12, 31)) -> ExchangeRate:
    at = datetime(on.year, on.month, on.day, tzinfo=UTC)
    return ExchangeRate(currency, "EUR", numerator, denominator, "ecb", at)


#: One euro is 1.1111 dollars, 11.25 kronor and 160 yen at the end of the quarter; dollars were 1.25 before.
RATES = {
    NOW: {
        "USD": euro_for("USD", 10_000, 11_111),
        "SEK": euro_for("SEK", 100, 1_125),
        "JPY": euro_for("JPY", 1, 160),
    },
    BEFORE: {"USD": euro_for("USD", 4, 5, date(2026, 9, 30))},
}


def sales(country: str, rate: str, base: int, tax: int, currency: str = "EUR", **changes: object) -> OssSales:
    fields: dict[str, object] = {
        "consumed_in": country,
        "supply": GOODS,
        "sent_from": "NL",
        "rate": Decimal(rate),
        "quarter": NOW,
        "currency": currency,
        "base": base,
        "tax": tax,
    }
    return OssSales(**fields | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_sales", "expected"),
    [
        # Euro are what they are: 100.00 + 19.00 and 50.00 + 9.50 of one rate.
        ([sales("DE", "19", 10_000, 1_900), sales("DE", "19.00", 5_000, 950)], [("DE", GOODS, 15_000, 2_850)]),
        # Rates, member states, kinds and places of dispatch stand apart.
        (
            [
                sales("DE", "7", 1_000, 70),
                sales("DE", "19", 1_000, 190),
                sales("AT", "20", 1_000, 200),
                sales("DE", "19", 1_000, 190, supply=SERVICES, sent_from=""),
                sales("DE", "19", 1_000, 190, sent_from="PL"),
            ],
            [
                ("AT", GOODS, 1_000, 200),
                ("DE", GOODS, 1_000, 70),
                ("DE", GOODS, 1_000, 190),
                ("DE", GOODS, 1_000, 190),
                ("DE", SERVICES, 1_000, 190),
            ],
        ),
        # 123.45 USD / 1.1111 = 111.1061..., 23.46 / 1.1111 = 21.1142...
        ([sales("FR", "19", 12_345, 2_346, "USD")], [("FR", GOODS, 11_111, 2_111)]),
        # 1000 JPY / 160 = 6.25, 200 / 160 = 1.25: yen have no decimals.
        ([sales("FR", "20", 1_000, 200, "JPY")], [("FR", GOODS, 625, 125)]),
        # 0.09 SEK / 11.25 = 0.008, three of them 0.024: once rounded 0.02, and not three times 0.01.
        ([sales("SE", "25", 9, 9, "SEK") for _ in range(3)], [("SE", GOODS, 2, 2)]),
        # 5 cents and 0.09 SEK (0.8 cents) are 5.8 cents.
        ([sales("SE", "25", 5, 5), sales("SE", "25", 9, 9, "SEK")], [("SE", GOODS, 6, 6)]),
        # What is taken back in the quarter of its supply lowers the line.
        ([sales("DE", "19", 10_000, 1_900), sales("DE", "19", -4_000, -760)], [("DE", GOODS, 6_000, 1_140)]),
    ],
)
def test_lines_by_hand(given_sales: Sequence[OssSales], expected: list[tuple[str, SupplyType, int, int]]) -> None:
    made = oss_return(NOW, given_sales, RATES)
    assert [(line.consumed_in, line.supply, line.base, line.tax) for line in made.lines] == expected
    assert made.corrections == ()
    assert made.tax == sum(tax for *_, tax in expected)


def test_a_line_shows_its_currencies_and_their_rates() -> None:
    made = oss_return(NOW, [sales("DE", "19", 1_000, 190), sales("DE", "19", 2_000, 380, "USD")], RATES)
    [line] = made.lines
    euro, dollars = line.parts
    assert (euro.currency, euro.base, euro.tax, euro.rate) == ("EUR", 1_000, 190, None)
    assert (dollars.currency, dollars.base, dollars.tax) == ("USD", 2_000, 380)
    assert dollars.rate is not None
    assert (dollars.rate.fraction, dollars.rate.at.date(), dollars.rate.source) == (
        "10000/11111",
        date(2026, 12, 31),
        "ecb",
    )
    assert (line.base, line.tax) == (1_000 + 1_800, 190 + 342)  # 1800.018, 342.003


def test_corrections_stand_by_their_quarter_at_its_own_rate() -> None:
    """50.00 USD of the quarter before at 1.25 are 40.00; 9.50 are 7.60. France gets less, nobody else gets more."""
    made = oss_return(
        NOW,
        [
            sales("DE", "19", 10_000, 1_900),
            sales("FR", "20", 1_000, 200),
            sales("FR", "19", -5_000, -950, "USD", quarter=BEFORE),
        ],
        RATES,
    )
    [correction] = made.corrections
    assert (correction.quarter, correction.consumed_in, correction.base, correction.tax) == (BEFORE, "FR", -4_000, -760)
    assert made.balances == {"DE": 1_900, "FR": -560}
    assert (made.tax, made.payable) == (2_100, 1_900)


def test_no_rate_is_no_return() -> None:
    with pytest.raises(RateMissing, match="from PLN to EUR"):
        oss_return(NOW, [sales("PL", "23", 100, 23, "PLN")], RATES)
    with pytest.raises(ValueError, match="2026Q4 is no part of the return of 2026Q3"):
        oss_return(BEFORE, [sales("DE", "19", 100, 19)], RATES)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026Q4", date(2026, 10, 1), date(2026, 12, 31)),
        ("2026-Q1", date(2026, 1, 1), date(2026, 3, 31)),
        ("2024Q2", date(2024, 4, 1), date(2024, 6, 30)),
        ("2015Q3", date(2015, 7, 1), date(2015, 9, 30)),
    ],
)
def test_quarters(text: str, first: date, last: date) -> None:
    quarter = Quarter.parse(text)
    assert (quarter.first_day, quarter.last_day) == (first, last)
    assert Quarter.of(quarter.start) == quarter
    assert Quarter.of(quarter.end) > quarter
    assert str(quarter) == text.replace("-", "")


@pytest.mark.parametrize("text", ["2026", "2026Q5", "2026Q0", "2014Q4", "Q4", "2026q4", "9999Q1"])
def test_what_is_no_quarter_says_so(text: str) -> None:
    with pytest.raises(NotAQuarter, match="write 2026Q4"):
        Quarter.parse(text)


_SALES = st.builds(
    OssSales,
    consumed_in=st.sampled_from(["DE", "FR"]),
    supply=st.sampled_from(SupplyType),
    sent_from=st.sampled_from(["NL", ""]),
    rate=st.sampled_from([Decimal(19), Decimal("5.5")]),
    quarter=st.just(NOW),
    currency=st.sampled_from(["EUR", "USD", "SEK", "JPY"]),
    base=st.integers(-(10**9), 10**9),
    tax=st.integers(-(10**8), 10**8),
)


@settings(max_examples=200)
@given(st.lists(_SALES, max_size=12), st.randoms(use_true_random=False))
def test_order_and_grouping_move_no_cent_and_each_line_is_rounded_once(given_sales, random) -> None:  # type: ignore[no-untyped-def]
    made = oss_return(NOW, given_sales, RATES)
    shuffled = list(given_sales)
    random.shuffle(shuffled)
    assert oss_return(NOW, shuffled, RATES) == made
    negative = [sales(s.consumed_in, str(s.rate), -s.base, -s.tax, s.currency, supply=s.supply, sent_from=s.sent_from)
                for s in given_sales]  # fmt: skip
    assert [(line.base, line.tax) for line in oss_return(NOW, negative, RATES).lines] == [
        (-line.base, -line.tax) for line in made.lines
    ]
    worth = {
        "EUR": Fraction(1),
        "USD": Fraction(10_000, 11_111),
        "SEK": Fraction(100, 1_125),
        "JPY": Fraction(100, 160),
    }
    for line in made.lines:
        own = [s for s in given_sales if (s.consumed_in, s.supply, s.sent_from, s.rate)
               == (line.consumed_in, line.supply, line.sent_from, line.rate)]  # fmt: skip
        assert line.base == round_half_away(sum((s.base * worth[s.currency] for s in own), Fraction()))
        assert line.tax == round_half_away(sum((s.tax * worth[s.currency] for s in own), Fraction()))
