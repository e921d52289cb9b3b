"""Payments, entries and postings of real sales, explained: every amount stands where a person looks for it."""

from collections.abc import Iterator

import pytest
from tests.market.fixtures import WORKED_LINES, worked_sellers
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.actor import Actor, Role
from marketbill.errors import Forbidden, NotFound
from marketbill.ids import BuyerId, PaymentId, new_id, public_id
from marketbill.insight.explanation import NotExplainable, explain
from marketbill.insight.node import Node
from marketbill.ledger import entries
from marketbill.rules.explanation import Rounding
from marketbill.statements.statement import Section


async def worked_sale(market: Market, *, days: int = 0) -> PaymentId:
    await worked_sellers(market)
    payment = await market.sale(*(market.line(name, price) for name, price in WORKED_LINES), reference="order-1")
    if days:
        await market.machine.advance(days=days)
    return payment


def seller_actor(market: Market, name: str) -> Actor:
    return Actor(Role.SELLER, market.seller_id(name), market.platform, seller=market.sellers[name])


async def explained(market: Market, id: str, *, actor: Actor | None = None, section: Section | None = None) -> Node:
    async with market.machine.services.db.read(market.platform) as scope:
        return await explain(scope, actor or market.operator, id, section=section)


async def entry_ids(market: Market, payment: PaymentId) -> dict[str, str]:
    async with market.machine.services.db.read(market.platform) as scope:
        found = (await entries.entries_by_sources(scope, [payment]))[payment]
    return {entry.kind: public_id("journal entry", entry.id) for entry in found}


def nodes(node: Node) -> Iterator[Node]:
    return (one for _, _, one in node.walk())


def labelled(node: Node, label: str) -> Node:
    return next(one for one in nodes(node) if one.label == label)


async def test_a_payment_is_told_from_what_the_buyer_paid_to_the_last_posting(market: Market) -> None:
    tree = await explained(market, public_id("payment", await worked_sale(market, days=9)))

    assert (tree.label, tree.amount, tree.currency) == ("order-1: the buyer paid", 12100, "EUR")
    assert [(one.label, one.amount) for one in tree.children[:3]] == [
        ("A gets", 4379),
        ("B gets", 3589),
        ("C gets", 2717),
    ]
    line = tree.children[1].children[0]
    assert (line.label, line.amount) == ("line 002, thing of B", 3999)
    tax = labelled(line, "tax")
    assert (tax.amount, tax.formula, tax.exact) == (694, "3999 * 21 / (100 + 21)", "83979/121")
    assert tax.note == "tax, 21 %, the seller owes it"
    fixed = labelled(line, "fixed part")
    assert (fixed.amount, fixed.rounding, fixed.got_remainder) == (10, Rounding.LARGEST_REMAINDER, True)
    assert labelled(tree.children[0], "fixed part").got_remainder is False
    assert labelled(line, "tax on it").note == "Reverse charge 0 %"
    assert labelled(line, "left for the seller").amount == 3589

    books = tree.children[-1]
    assert [(one.label, one.amount) for one in books.children[:5]] == [
        ("charge", 12100),
        ("split", 1415),
        ("psp-fee", 207),
        ("funds-available", 11893),
        ("release", 10685),
    ]
    assert [one.label for one in books.children[5:]] == ["transfer"] * 3
    assert books.children[0].children[0].label == "debit psp:pending, credit seller:A:pending"


async def test_every_posting_of_a_sale_is_made_of_the_amounts_of_its_lines(market: Market) -> None:
    payment = await worked_sale(market, days=9)
    for kind, entry in (await entry_ids(market, payment)).items():
        tree = await explained(market, entry)
        for posting in (one for one in tree.children if (one.reference or "").startswith("pst_")):
            assert await explained(market, posting.reference or "") is not None
            if kind in ("charge", "split", "release"):
                assert sum(one.amount or 0 for one in posting.children) == posting.amount
                assert all(one.label.startswith("line 00") for one in posting.children)
            assert not (posting.note or "").startswith("DIFFERS")
        assert labelled(tree, "comes from a payment").reference == public_id("payment", payment)


async def test_a_posting_says_what_it_means_and_how_it_came_about(market: Market) -> None:
    payment = await worked_sale(market)
    split = await explained(market, (await entry_ids(market, payment))["split"])
    fee = await explained(market, split.children[0].reference or "")

    assert (fee.label, fee.amount, fee.note) == (
        "debit seller:A:pending, credit revenue:platform-fee",
        512,
        "platform fee",
    )
    assert [one.label for one in fee.children] == ["line 001: fee commission", "of the entry split"]
    assert labelled(fee, "percentage").formula == "4999 * 10 / 100"
    tax = await explained(market, split.children[1].reference or "")
    assert (labelled(tax, "tax on it").amount, labelled(tax, "tax on it").formula) == (108, "512 * 21 / 100")


async def test_a_line_of_a_statement_is_its_entry_and_its_section(market: Market) -> None:
    entry = (await entry_ids(market, await worked_sale(market)))["split"]
    anna = seller_actor(market, "A")
    fees = await explained(market, entry, actor=anna, section=Section.FEES)
    taxes = await explained(market, entry, actor=anna, section=Section.FEE_TAX)
    assert [one.amount for one in fees.children if (one.reference or "").startswith("pst_")] == [512]
    assert [one.amount for one in taxes.children if (one.reference or "").startswith("pst_")] == [108]


async def test_a_seller_sees_his_own_and_nothing_of_the_others(market: Market) -> None:
    payment = await worked_sale(market, days=9)
    anna = seller_actor(market, "A")
    tree = await explained(market, public_id("payment", payment), actor=anna)
    assert (tree.label, tree.amount) == ("order-1: your part of a sale", 4999)
    others = {market.seller_id(name) for name in ("B", "C")} | {"seller:B", "seller:C", "thing of B"}
    assert not [one for one in nodes(tree) if any(other in repr((one.label, one.reference)) for other in others)]
    ids = await entry_ids(market, payment)
    assert [one.amount for one in (await explained(market, ids["charge"], actor=anna)).children[:1]] == [4999]
    with pytest.raises(NotFound):
        await explained(market, ids["psp-fee"], actor=anna)
    split = await explained(market, ids["split"])
    with pytest.raises(NotFound):
        await explained(market, split.children[2].reference or "", actor=anna)
    with pytest.raises(Forbidden):
        buyer = Actor(Role.BUYER, "buy", market.platform, buyer=BuyerId(new_id()))
        await explained(market, public_id("payment", payment), actor=buyer)


async def test_a_sale_settled_in_another_currency_names_the_rate_and_who_told_it(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    await machine.control("exchange_rates", {"base": "usd", "rates": {"eur": "0.9"}})
    await market.connect(settle="default")
    await market.seller("S")
    payment = await market.sale(market.line("S", 11_000, currency="USD"))
    await machine.advance(days=9)

    tree = await explained(market, public_id("payment", payment))
    settled = labelled(tree, "settled by the provider")
    assert (tree.amount, tree.currency) == (11_000, "USD")
    assert (settled.amount, settled.currency) == (9_900, "EUR")
    assert (settled.note or "").startswith("1 USD = 9/10 EUR, of ")
    assert (settled.source or "").startswith("stripe:txn_")

    release = await explained(market, (await entry_ids(market, payment))["release"])
    earned = labelled(release, "earned, before the provider converted it")
    assert release.children[0].currency == "EUR"
    assert (earned.currency, earned.amount) == ("USD", labelled(tree, "left for the seller").amount)


@pytest.mark.parametrize("kind", ["payment", "journal entry", "posting"])
async def test_what_there_is_not_is_not_found(market: Market, kind: str) -> None:
    with pytest.raises(NotFound):
        await explained(market, public_id(kind, new_id()))


@pytest.mark.parametrize("id", ["", "x", "trf_00000000000000000000000000", "pay_short"])
async def test_what_cannot_be_explained_is_said(market: Market, id: str) -> None:
    with pytest.raises(NotFound if id.startswith("pay") else NotExplainable):
        await explained(market, id)
