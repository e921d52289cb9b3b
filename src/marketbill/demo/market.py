"""The demo market: a Dutch platform with three sellers and two buyers, made through the API and kept in one file.

Sellers and fees are those of the worked journal of our docs, so that its amounts can be read off a screen.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from marketbill.demo.api import Api
from marketbill.demo.patience import until
from marketbill.demo.sandbox import SandboxControl

NAME = "Demo Market"
_FIXED_FEE = {"EUR": 30, "USD": 30, "GBP": 25, "BRL": 60, "JPY": 30, "KWD": 100, "CHF": 30, "SEK": 300, "PLN": 100}
_ONBOARDED_S = 30.0


@dataclass(frozen=True, slots=True)
class DemoSeller:
    letter: str
    name: str
    country: str
    vat_number: str | None


SELLERS = (
    DemoSeller("A", "Atelier Amsterdam", "NL", None),
    DemoSeller("B", "Berliner Bücher", "DE", "DE136695976"),
    DemoSeller("C", "Ceramics Centraal", "NL", None),
)
BUYERS = (("anna", "Anna Jansen", "pm_card_visa"), ("ben", "Ben de Vries", "pm_card_mastercard"))


@dataclass(slots=True)
class Market:
    """The ids and keys of the demo market; a token is short-lived and not kept."""

    platform: str
    operator_key: str
    service_key: str
    sellers: dict[str, str] = field(default_factory=dict)
    buyers: dict[str, str] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    has_sales: bool = False
    readonly_key: str = ""


Report = Callable[[str], None]


async def open_market(
    api: Api, sandbox: SandboxControl, *, name: str = NAME, report: Report = lambda _: None
) -> Market:
    """Makes the platform, connects it to the sandbox, and brings sellers and buyers in.

    Safe to repeat after an interruption: idempotency keys give what was made before. Raises OperationFailed,
    NeverHappened, SandboxUnreachable.
    """
    report(f"platform {name}: fee 10 % of the gross plus 0.30 an order, 21 % tax on the fee")
    market = await _platform(api, sandbox, name)
    operator, service = api.as_(market.operator_key), api.as_(market.service_key)
    accounts = await asyncio.gather(*(_seller(operator, market, seller) for seller in SELLERS))
    await asyncio.gather(*(_buyer(service, market, *buyer) for buyer in BUYERS))
    report("sellers A and C of the Netherlands, B of Germany with a valid VAT id: onboarding pages completed")
    await asyncio.gather(*(sandbox.complete(account) for account in accounts))
    await asyncio.gather(*(_await_gates(service, market.sellers[seller.letter], seller.name) for seller in SELLERS))
    return market


async def _platform(api: Api, sandbox: SandboxControl, name: str) -> Market:
    key = f"demo:{name}"
    made = await api.do(
        "platformCreate",
        idempotencyKey=f"{key}:platform",
        name=name,
        country="NL",
        defaultCurrency="EUR",
        feeTaxRate="21",
        holdFrom="CAPTURE",
        holdDays=0,
        feeRule={
            "percent": "10",
            "fixed": [{"minor": str(amount), "currency": currency} for currency, amount in _FIXED_FEE.items()],
            "fixedScope": "ORDER",
            "base": "GROSS",
            "feeTaxMode": "EXCLUSIVE",
        },
    )
    operator = api.as_(made["operatorKey"])
    service = await operator.do("apiKeyCreate", idempotencyKey=f"{key}:service", name="Demo backend", role="SERVICE")
    if (await operator.ask("platform"))["provider"] is None:
        secret = await sandbox.create_platform(name=name, country="NL", currency="eur")
        await operator.do("providerConnect", idempotencyKey=f"{key}:connect:{secret[-12:]}", secretKey=secret)
    return Market(made["platform"]["id"], made["operatorKey"], service["secret"])


async def _seller(operator: Api, market: Market, seller: DemoSeller) -> str:
    made = await operator.do(
        "sellerCreate",
        idempotencyKey=f"demo:{market.platform}:seller:{seller.letter}",
        name=seller.name,
        email=f"seller-{seller.letter.lower()}@demo.example",
        country=seller.country,
        vatNumber=seller.vat_number,
        externalRef=f"demo-{seller.letter}",
    )
    market.sellers[seller.letter] = made["seller"]["id"]
    account = made["seller"]["providerAccount"]
    if account is None:  # the provider was away for a moment: the link makes the account
        link = await operator.do(
            "sellerOnboardingLinkCreate",
            idempotencyKey=f"demo:{market.platform}:link:{seller.letter}",
            sellerId=made["seller"]["id"],
            returnUrl="https://demo.example/done",
            refreshUrl="https://demo.example/again",
        )
        account = link["seller"]["providerAccount"]
    return account


async def _buyer(service: Api, market: Market, short: str, name: str, token: str) -> None:
    key = f"demo:{market.platform}:buyer:{short}"
    made = await service.do(
        "buyerCreate", idempotencyKey=key, name=name, email=f"{short}@demo.example", externalRef=short
    )
    attached = await service.do(
        "paymentMethodAttach", idempotencyKey=f"{key}:method", buyerId=made["buyer"]["id"], token=token
    )
    market.buyers[short] = made["buyer"]["id"]
    market.methods[short] = attached["paymentMethod"]["id"]


async def _await_gates(service: Api, id: str, name: str) -> None:
    async def ask() -> bool:
        seller = await service.ask("seller", by={"id": id})
        return seller["mayReceiveTransfers"] and seller["mayBePaidOut"]

    await until(f"{name} may be paid out (an event of the provider, handled by a worker)", ask, within_s=_ONBOARDED_S)


def line(
    seller: str, description: str, amount: int, currency: str, *, tax_rate: str = "21", category: str = "goods"
) -> dict[str, Any]:
    """One line of a basket; `amount` is minor units, tax included."""
    return {
        "sellerId": seller,
        "description": description,
        "category": category,
        "quantity": 1,
        "unitPrice": {"minor": str(amount), "currency": currency},
        "taxRate": tax_rate,
        "taxInclusive": True,
    }


def worked_basket(market: Market) -> list[dict[str, Any]]:
    """The basket of the worked journal: 121.00 EUR of three sellers, 21 % tax included."""
    amounts: Mapping[str, tuple[str, int]] = {
        "A": ("Linen tablecloth", 4999),
        "B": ("Atlas of the Elbe", 3999),
        "C": ("Salt-glazed jug", 3102),
    }
    return [line(market.sellers[letter], what, amount, "EUR") for letter, (what, amount) in amounts.items()]


async def first_sales(service: Api, market: Market) -> None:
    """A few sales, so that there is something to look at."""
    key = f"demo:{market.platform}:sale"
    at_once = "pm_card_bypassPending"
    a, b, c = (market.sellers[letter] for letter in "ABC")
    sales: list[dict[str, Any]] = [
        {"currency": "EUR", "lines": worked_basket(market), "paymentMethodId": market.methods["anna"]},
        {"currency": "EUR", "lines": worked_basket(market), "paymentMethodToken": at_once},
        {"currency": "USD", "lines": [line(b, "Map of the Baltic", 2450, "USD")], "paymentMethodToken": at_once},
        {
            "currency": "JPY",
            "lines": [line(a, "Indigo scarf", 5800, "JPY"), line(c, "Tea bowl", 7200, "JPY")],
            "paymentMethodToken": at_once,
        },
    ]
    sold: list[Awaitable[Any]] = [
        service.do("paymentCreate", idempotencyKey=f"{key}:{number}", reference=f"DEMO-{number}", **sale)
        for number, sale in enumerate(sales, 1)
    ]
    await asyncio.gather(*sold)


def read_market(path: Path) -> Market | None:
    """The market kept in a file; None when there is none yet."""
    try:
        return Market(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None


def market_text(market: Market) -> str:
    return json.dumps(asdict(market), indent=2) + "\n"
