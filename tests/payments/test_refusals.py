"""Baskets and requests that are refused: each by its own noun, naming its field, with nothing kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.actor import Actor, Role
from marketbill.buyers import buyer as buyers
from marketbill.buyers.buyer import BuyerDraft
from marketbill.errors import InvalidInput, NotFound, ProviderNotConnected, Refusal, SellerNotAllowed
from marketbill.ids import BuyerId, PaymentId, PlatformId, new_id, public_id
from marketbill.payments import cancellation, checkout, delivery, queries, recording
from marketbill.payments.checkout import PaymentDraft
from marketbill.payments.model import payment
from marketbill.payments.order import BuyerPlace, Order, OrderDiscount
from marketbill.provider.model import provider_intent
from marketbill.sellers import seller as sellers


def coupon(**changes: Any) -> OrderDiscount:
    return replace(OrderDiscount("spring", Decimal(10), None, None), **changes)


@dataclass(frozen=True, slots=True)
class Case:
    """What is changed on a good draft, and the refusal that must follow."""

    name: str
    change: Callable[[Market, PaymentDraft], PaymentDraft]
    refusal: type[Refusal]
    path: tuple[str, ...]


def on_line(**changes: Any) -> Callable[[Market, PaymentDraft], PaymentDraft]:
    return on_order(lambda order: {"lines": (order.lines[0], replace(order.lines[1], **changes))})


def on_order(changes: Callable[[Order], dict[str, Any]]) -> Callable[[Market, PaymentDraft], PaymentDraft]:
    return lambda market, draft: replace(draft, order=replace(draft.order, **changes(draft.order)))


def on_draft(**changes: Any) -> Callable[[Market, PaymentDraft], PaymentDraft]:
    return lambda market, draft: replace(draft, **changes)


SECOND = ("lines", "1")
CASES = [
    Case("no lines", on_order(lambda order: {"lines": ()}), InvalidInput, ("lines",)),
    Case("price of zero", on_line(unit_price=0), InvalidInput, (*SECOND, "unitPrice")),
    Case("negative price", on_line(unit_price=-100), InvalidInput, (*SECOND, "unitPrice")),
    Case("price beyond bigint", on_line(unit_price=2**63), InvalidInput, (*SECOND, "unitPrice")),
    Case("price beyond all numbers", on_line(unit_price=10**40), InvalidInput, (*SECOND, "unitPrice")),
    Case("overflow by quantity", on_line(unit_price=10**14, quantity=1000), InvalidInput, (*SECOND, "unitPrice")),
    Case("more than a card can pay", on_line(unit_price=100_000_000), InvalidInput, ("lines",)),
    Case("quantity of zero", on_line(quantity=0), InvalidInput, (*SECOND, "quantity")),
    Case("negative quantity", on_line(quantity=-1), InvalidInput, (*SECOND, "quantity")),
    Case("tax above 100 %", on_line(tax_rate=Decimal("100.0001")), InvalidInput, (*SECOND, "taxRate")),
    Case("negative tax", on_line(tax_rate=Decimal(-1)), InvalidInput, (*SECOND, "taxRate")),
    Case("tax that is no number", on_line(tax_rate=Decimal("NaN")), InvalidInput, (*SECOND, "taxRate")),
    Case("five decimals of tax", on_line(tax_rate=Decimal("1.00001")), InvalidInput, (*SECOND, "taxRate")),
    Case("another currency", on_line(currency="USD"), InvalidInput, (*SECOND, "unitPrice", "currency")),
    Case(
        "unknown currency",
        on_order(lambda order: {"currency": "XXY"}),
        InvalidInput,
        ("lines", "0", "unitPrice", "currency"),
    ),
    Case("long description", on_line(description="x" * 501), InvalidInput, (*SECOND, "description")),
    Case("NUL in description", on_line(description="a\x00b"), InvalidInput, (*SECOND, "description")),
    Case("surrogate in category", on_line(category="\ud800"), InvalidInput, (*SECOND, "category")),
    Case("long category", on_line(category="x" * 101), InvalidInput, (*SECOND, "category")),
    Case("NUL in external id", on_line(external_refs={"a": "\x00"}), InvalidInput, (*SECOND, "externalRefs")),
    Case("NUL in name of external id", on_line(external_refs={"\x00": "a"}), InvalidInput, (*SECOND, "externalRefs")),
    Case("long external id", on_line(external_refs={"a": "x" * 201}), InvalidInput, (*SECOND, "externalRefs")),
    Case(
        "too many external ids",
        on_line(external_refs={str(number): "x" for number in range(11)}),
        InvalidInput,
        (*SECOND, "externalRefs"),
    ),
    Case("no place for the tax", on_line(tax_rate=None), InvalidInput, ("buyer", "country")),
    Case("two taxes", on_line(tax_unknown=True), InvalidInput, ("lines", "1", "taxRate")),
    Case(
        "discount of no line",
        on_order(lambda order: {"discounts": (coupon(lines=(2,)),)}),
        InvalidInput,
        ("discounts", "0", "lines", "0"),
    ),
    Case(
        "discount of all",
        on_order(lambda order: {"discounts": (coupon(percent=Decimal(100)),)}),
        InvalidInput,
        ("discounts",),
    ),
    Case(
        "discount in another currency",
        on_order(lambda order: {"discounts": (coupon(currency="USD"),)}),
        InvalidInput,
        ("discounts", "0", "amount", "currency"),
    ),
    Case("buyer of nowhere", on_order(lambda order: {"buyer": BuyerPlace("UK")}), InvalidInput, ("buyer", "country")),
    Case(
        "number of another country",
        on_order(lambda order: {"buyer": BuyerPlace("DE", vat_number="NL853746333B01")}),
        InvalidInput,
        ("buyer", "vatNumber"),
    ),
    Case("long reference", on_draft(reference="x" * 101), InvalidInput, ("reference",)),
    Case("empty reference", on_draft(reference=""), InvalidInput, ("reference",)),
    Case("NUL in reference", on_draft(reference="order\x001"), InvalidInput, ("reference",)),
    Case("no web address", on_draft(return_url="javascript:alert(1)"), InvalidInput, ("returnUrl",)),
    Case("NUL in address", on_draft(return_url="https://shop.example/\x00"), InvalidInput, ("returnUrl",)),
    Case("card number", on_draft(payment_method_token="4242424242424242"), InvalidInput, ("paymentMethodToken",)),
    Case("no token", on_draft(payment_method_token="pm_"), InvalidInput, ("paymentMethodToken",)),
    Case(
        "off session without a method",
        on_draft(payment_method_token=None, off_session=True),
        InvalidInput,
        ("paymentMethodId",),
    ),
    Case(
        "two methods",
        on_draft(payment_method_id=public_id("payment method", new_id())),
        InvalidInput,
        ("paymentMethodToken",),
    ),
    Case("malformed seller", on_line(seller_id="sel_1"), NotFound, (*SECOND, "sellerId")),
    Case("unknown seller", on_line(seller_id=public_id("seller", new_id())), NotFound, (*SECOND, "sellerId")),
    Case("a payment for a seller", on_line(seller_id=public_id("payment", new_id())), NotFound, (*SECOND, "sellerId")),
    Case("unknown buyer", on_draft(buyer_id=public_id("buyer", new_id())), NotFound, ("buyerId",)),
    Case(
        "unknown method",
        on_draft(payment_method_token=None, payment_method_id=public_id("payment method", new_id())),
        NotFound,
        ("paymentMethodId",),
    ),
]


async def test_what_cannot_be_sold_is_refused_by_name(market: Market) -> None:
    await market.seller("A", onboard=None)
    good = market.draft(market.line("A", 1000), market.line("A", 2000))
    wrong: list[str] = []
    for case in CASES:
        try:
            await market.pay(case.change(market, good))
            wrong.append(f"{case.name}: not refused")
        except case.refusal as refusal:
            if refusal.path != case.path or not refusal.message:
                wrong.append(f"{case.name}: {refusal.path}")
        except Exception as error:
            wrong.append(f"{case.name}: {type(error).__name__}: {error!s:.150}")

    assert wrong == []
    await nothing_kept(market)


async def test_an_unusable_idempotency_key_is_refused(market: Market, subtests: pytest.Subtests) -> None:
    for key in ["", "x" * 256, "a\x00b"]:
        with subtests.test(key=key):
            await market.seller("A", onboard=None)

            with pytest.raises(InvalidInput) as refused:
                await checkout.create(
                    market.machine.services,
                    market.operator,
                    idempotency_key=key,
                    draft=market.draft(market.line("A", 1000)),
                )

            assert refused.value.path == ("idempotencyKey",)
            await nothing_kept(market)


async def test_a_suspended_seller_may_not_sell(market: Market) -> None:
    await market.seller("A", onboard=None)
    await market.seller("B", onboard=None)
    await suspend(market, "B", suspended=True)

    with pytest.raises(SellerNotAllowed) as refused:
        await market.pay(market.draft(market.line("A", 1000), market.line("B", 1000)))
    assert (refused.value.gate, refused.value.seller_id) == ("SELL", market.seller_id("B"))
    assert refused.value.path == ("lines", "1", "sellerId")
    await nothing_kept(market)

    await suspend(market, "B", suspended=False)
    assert (await market.pay(market.draft(market.line("B", 1000)))).payment.status == "SUCCEEDED"


async def test_without_a_provider_nothing_is_sold(machine: Machine) -> None:
    market = await machine.platform(connected=False)
    await market.seller("A", onboard=None)

    with pytest.raises(ProviderNotConnected):
        await market.pay(market.draft(market.line("A", 1000)))
    await nothing_kept(market)


async def test_another_tenants_things_are_not_found(machine: Machine) -> None:
    mine, other = await machine.platform(name="Mine"), await machine.platform(name="Other")
    await mine.seller("A", onboard=None)
    await other.seller("B", onboard=None)
    buyer = await buyers.create(
        machine.services, other.operator, idempotency_key=machine.key(), draft=BuyerDraft("Kim")
    )
    buyer_id = public_id("buyer", buyer.id)
    method = await buyers.attach_method(
        machine.services, other.operator, idempotency_key=machine.key(), buyer_id=buyer_id, token="pm_card_visa"
    )
    paid = await other.sale(other.line("B", 1000))
    good = mine.draft(mine.line("A", 1000))

    method_id = public_id("payment method", method.id)
    for draft in (
        replace(good, order=other.draft(other.line("B", 1000)).order),
        replace(good, buyer_id=buyer_id),
        replace(good, payment_method_token=None, payment_method_id=method_id),
    ):
        with pytest.raises(NotFound):
            await mine.pay(draft)
    payment_id = public_id("payment", paid)
    with pytest.raises(NotFound):
        await cancellation.cancel(machine.services, mine.operator, idempotency_key="c", id=payment_id)
    with pytest.raises(NotFound):
        await delivery.deliver(machine.services, mine.operator, idempotency_key="d", id=payment_id)
    async with machine.services.db.read(mine.platform) as scope:
        with pytest.raises(NotFound):
            await queries.by_id(scope, mine.operator, payment_id)
        with pytest.raises(NotFound):
            await recording.load(scope, PaymentId(paid))
    await nothing_kept(mine)


async def test_a_buyer_pays_with_his_own_method_only(market: Market) -> None:
    await market.seller("A", onboard=None)
    services = market.machine.services
    kim, lou = [
        await buyers.create(services, market.operator, idempotency_key=name, draft=BuyerDraft(name))
        for name in ("Kim", "Lou")
    ]
    method = await buyers.attach_method(
        services,
        market.operator,
        idempotency_key="m",
        buyer_id=public_id("buyer", kim.id),
        token="pm_card_visa",
    )
    draft = replace(
        market.draft(market.line("A", 1000), card=None), payment_method_id=public_id("payment method", method.id)
    )

    with pytest.raises(NotFound):
        await market.pay(draft, actor=buyer_actor(market.platform, lou.id))
    with pytest.raises(NotFound):
        await market.pay(replace(draft, buyer_id=public_id("buyer", lou.id)))
    with pytest.raises(NotFound):
        await market.pay(
            replace(draft, buyer_id=public_id("buyer", kim.id)), actor=buyer_actor(market.platform, lou.id)
        )
    await nothing_kept(market)

    paid = await market.pay(draft, actor=buyer_actor(market.platform, kim.id))
    assert (paid.payment.status, paid.payment.buyer_id) == ("SUCCEEDED", kim.id)


def buyer_actor(platform: PlatformId, id: Any) -> Actor:
    return Actor(Role.BUYER, public_id("buyer", id), platform, buyer=BuyerId(id))


async def suspend(market: Market, name: str, *, suspended: bool) -> None:
    await sellers.change(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        id=market.seller_id(name),
        changes={"suspended": suspended},
    )


async def nothing_kept(market: Market) -> None:
    async with market.machine.services.db.read(market.platform) as scope:
        payments = select(func.count()).where(payment.c.platform_id == market.platform)
        intents = select(func.count()).where(
            provider_intent.c.platform_id == market.platform, provider_intent.c.kind == "create_payment"
        )
        assert (await scope.scalar(payments), await scope.scalar(intents)) == (0, 0)
    if market.secret_key:
        assert await market.charges() == []
