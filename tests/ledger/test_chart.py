"""The chart of accounts: what belongs to it, how each account is named, and what is refused."""

from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.members import ID, member

from marketbill.errors import ErrorCode
from marketbill.ids import SellerId, new_id, public_id
from marketbill.ledger import chart
from marketbill.ledger.chart import CHART, AccountKind, AccountRef, Family, Guard, Owner, Side, UnknownAccount
from marketbill.money import UnknownCurrency


@pytest.mark.parametrize(
    ("ref", "code", "kind", "side", "guard"),
    [
        (chart.bank("EUR"), "bank", "ASSET", "DEBIT", "NONE"),
        (chart.psp_pending("EUR"), "psp:pending", "ASSET", "DEBIT", "NONE"),
        (chart.psp_available("EUR"), "psp:available", "ASSET", "DEBIT", "NONE"),
        (chart.platform_fee("EUR"), "revenue:platform-fee", "REVENUE", "CREDIT", "NONE"),
        (chart.output_vat("NL", "EUR"), "tax:output-vat:NL", "LIABILITY", "CREDIT", "NONE"),
        (chart.psp_fee("EUR"), "expenses:psp-fee", "EXPENSE", "DEBIT", "NONE"),
        (member(chart.FEE_REFUNDED), "revenue:platform-fee-refunded", "REVENUE", "DEBIT", "NONE"),
        (member(chart.OWN_FEE), "revenue:platform-fee:listing-fee", "REVENUE", "CREDIT", "NONE"),
        (member(chart.DEEMED_TAX), "tax:deemed:US-CA", "LIABILITY", "CREDIT", "NONE"),
        (member(chart.FX_POSITION), "equity:fx-position", "EQUITY", "CREDIT", "NONE"),
        (
            member(chart.SELLER_RESERVE),
            f"seller:{public_id('seller', ID)}:reserve",
            "LIABILITY",
            "CREDIT",
            "NOT_NEGATIVE",
        ),
        (member(chart.DISPUTED), f"dispute:{public_id('dispute', ID)}", "ASSET", "DEBIT", "NONE"),
        (member(chart.CUSTODY_OWED), f"custody:{public_id('seller', ID)}:owed", "CUSTODY", "CREDIT", "NONE"),
    ],
)
def test_an_account_follows_from_its_family(ref: AccountRef, code: str, kind: str, side: str, guard: str) -> None:
    assert (ref.code, ref.kind, ref.side, ref.guard) == (code, kind, side, guard)


def test_an_owner_stands_in_the_code_of_what_it_owns() -> None:
    assert member(chart.SELLER_PAYABLE).owner == Owner("seller", ID)
    assert member(chart.DISPUTED).owner == Owner("dispute", ID)
    assert member(chart.OUTPUT_VAT).owner is None
    assert chart.bank("EUR").owner is None


@pytest.mark.parametrize("family", CHART, ids=lambda family: family.pattern)
def test_every_account_is_found_again_by_its_code(family: Family) -> None:
    ref = member(family)
    assert chart.named(ref.code, "EUR") is ref
    assert replace(ref, ceiling=5).code == ref.code


def test_the_chart_has_each_family_once_and_says_what_it_is() -> None:
    assert len({family.pattern for family in CHART}) == len(CHART)
    for family in CHART:
        assert family.meaning.endswith("."), family.pattern
        assert ("*" in family.pattern) == (family.part is not None), family.pattern
        assert family.guard is Guard.NONE or family.kind in (
            AccountKind.ASSET,
            AccountKind.LIABILITY,
            AccountKind.CUSTODY,
        )


def test_only_contra_revenue_and_owed_custody_stand_on_the_other_side_of_their_kind() -> None:
    usual = dict.fromkeys((AccountKind.ASSET, AccountKind.EXPENSE, AccountKind.CUSTODY), Side.DEBIT)
    odd = [family for family in CHART if family.side is not usual.get(family.kind, Side.CREDIT)]
    assert odd == [chart.FEE_REFUNDED, chart.CUSTODY_OWED]


def test_accounts_of_a_seller_are_told_apart_by_seller_family_and_currency() -> None:
    other = SellerId(new_id())
    seller = SellerId(ID)
    refs = {
        chart.seller_pending(seller, "EUR"),
        chart.seller_pending(seller, "USD"),
        chart.seller_payable(seller, "EUR"),
        chart.seller_pending(other, "EUR"),
    }
    assert len(refs) == 4
    assert AccountRef(chart.SELLER_PENDING, "EUR", UUID(int=seller.int)) in refs


@pytest.mark.parametrize(
    ("family", "of", "account", "rule"),
    [
        (chart.SELLER_PAYABLE, None, "seller:*:payable", "a seller's id"),
        (chart.SELLER_PAYABLE, "sel_1", "seller:sel_1:payable", "a seller's id"),
        (chart.DISPUTED, "dp_1", "dispute:dp_1", "a dispute's id"),
        (chart.BANK, ID, f"bank:{ID}", "one account"),
        (chart.OUTPUT_VAT, None, "tax:output-vat:*", "two letters"),
        (chart.OUTPUT_VAT, "nl", "tax:output-vat:nl", "two letters"),
        (chart.OUTPUT_VAT, "NL\n", "tax:output-vat:NL\n", "two letters"),
        (chart.OUTPUT_VAT, ID, f"tax:output-vat:{ID}", "two letters"),
        (chart.OWN_FEE, "Listing", "revenue:platform-fee:Listing", "small letters"),
        (chart.OWN_FEE, "a:b", "revenue:platform-fee:a:b", "small letters"),
        (chart.OWN_FEE, "a" * 41, f"revenue:platform-fee:{'a' * 41}", "small letters"),
    ],
    ids=lambda value: value.pattern if isinstance(value, Family) else repr(value),
)
def test_a_part_that_is_missing_or_misshapen_is_refused(
    family: Family, of: UUID | str | None, account: str, rule: str
) -> None:
    with pytest.raises(UnknownAccount, match=rule) as refused:
        chart.account(family, "EUR", of)
    assert refused.value.account == account
    assert refused.value.constraint is not None
    assert refused.value.constraint in refused.value.message
    assert refused.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("cash", "no family"),
        ("", "no family"),
        ("psp", "no family"),
        ("psp:pending:x", "no family"),
        ("expenses:tea", "no family"),
        ("seller:*:pending", "a seller's id"),
        ("seller:pay_00000000000000000000000005:pending", "a seller's id"),
        ("tax:output-vat:*", "two letters"),
        ("x" * 100_000, "no family"),
    ],
    ids=lambda text: text[:50],
)
def test_a_code_outside_the_chart_is_refused(code: str, rule: str) -> None:
    with pytest.raises(UnknownAccount, match=rule) as refused:
        chart.named(code, "EUR")
    assert refused.value.account == code
    assert len(refused.value.message) < 300


def test_a_family_of_ones_own_is_no_family_of_the_chart() -> None:
    own = Family("bank", AccountKind.EQUITY, Side.CREDIT, "Mine.")
    for family in (own, replace(own, pattern="my:account")):
        with pytest.raises(UnknownAccount, match="family"):
            AccountRef(family, "EUR")


def test_an_account_has_a_currency_that_can_be_paid_with() -> None:
    for make in (lambda: chart.bank("XXX"), lambda: chart.named("bank", "eur")):
        with pytest.raises(UnknownCurrency):
            make()


@given(
    st.text(max_size=60) | st.lists(st.sampled_from(["seller", "custody", "tax", "*", "NL", "owed", ""])).map(":".join)
)
def test_any_text_is_an_account_or_refused(code: str) -> None:
    with suppress(UnknownAccount):
        assert chart.named(code, "EUR").code == code
