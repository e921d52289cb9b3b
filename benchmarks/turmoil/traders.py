"""The clients of a marketplace in trouble: each asks under one key, again and again, until it has a definite answer."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

_ERRORS = "errors { __typename ... on UserError { code message retryable } }"
_FIELDS = {
    "sellerCreate": "seller { id }",
    "paymentCreate": "payment { id status }",
    "paymentCancel": "payment { id status }",
    "payoutCreate": "payout { id }",
    "buyerCreate": "buyer { id }",
    "paymentMethodAttach": "paymentMethod { id }",
}
#: What is bought with: mostly cards that pay, at once or after days, and some that do not.
_CARDS = ("pm_card_bypassPending",) * 6 + ("pm_card_visa",) * 3 + ("pm_card_chargeDeclined",)
_MONEY = {"EUR": (100, 30_000), "USD": (100, 30_000), "JPY": (100, 50_000)}
_REQUEST_SECONDS_MAX = 20.0
#: So long a trader insists at once; what is not answered by then waits in `open` for the next round.
_INSISTS_SECONDS = 6.0
_PAUSE_SECONDS = (0.1, 0.6)


@dataclass(slots=True)
class Wish:
    """One mutation, wanted once. It ends with an `answer`, or refused for good with a `refusal` (its code)."""

    operation: str
    key: str
    input: dict[str, Any]
    answer: dict[str, Any] | None = None
    refusal: str | None = None
    tries: int = 0

    @property
    def ended(self) -> bool:
        return self.answer is not None or self.refusal is not None


@dataclass(slots=True)
class Traders:
    """Sell, buy, cancel and pay out, several at once, until they are told to stop. Everything follows from `seed`."""

    api_url: str
    operator_key: str
    seed: int
    sellers: list[str] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    open: list[Wish] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    _http: aiohttp.ClientSession | None = None
    _random: random.Random = field(default_factory=random.Random)

    async def __aenter__(self) -> Self:
        self._random.seed(self.seed)
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS_MAX))
        self.gate.set()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def trade(self, stop: asyncio.Event, *, callers: int) -> None:
        await asyncio.gather(*(self._caller(stop) for _ in range(callers)))

    async def _caller(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.gate.wait()
            self.under_way += 1
            try:
                await self._one()
            finally:
                self.under_way -= 1
            await asyncio.sleep(self._random.uniform(0.01, 0.15))

    async def _one(self) -> None:
        match self._random.choices(("sale", "payout", "cancel", "buyer", "seller"), (72, 12, 8, 5, 3))[0]:
            case "sale":
                await self.insist(self.sale(card=self._random.choice(_CARDS)))
            case "payout":
                seller, currency = self._random.choice(self.sellers), self._random.choice(list(_MONEY))
                await self.insist(self.wish("payoutCreate", sellerId=seller, currency=currency))
            case "cancel":
                opened = await self.insist(self.sale(card=None))
                if opened.answer is not None:
                    await self.insist(self.wish("paymentCancel", id=opened.answer["payment"]["id"]))
            case "buyer":
                name = f"Buyer {len(self.wishes)}"
                made = await self.insist(self.wish("buyerCreate", name=name, email="buyer@buyers.example"))
                if made.answer is not None:
                    buyer = made.answer["buyer"]["id"]
                    await self.insist(self.wish("paymentMethodAttach", buyerId=buyer, token="pm_card_visa"))
            case _:
                await self.insist(self.seller(self._random.choice(("NL", "DE"))))

    def wish(self, operation: str, **input: Any) -> Wish:
        made = Wish(operation, f"{operation}-{len(self.wishes)}", input)
        self.wishes.append(made)
        return made

    def seller(self, country: str) -> Wish:
        name = f"Seller {len(self.wishes)}"
        return self.wish("sellerCreate", name=name, email="seller@sellers.example", country=country)

    def sale(self, *, card: str | None) -> Wish:
        """A basket of one to three lines of one to three sellers, paid by card or (None) not yet."""
        currency = self._random.choice(list(_MONEY))
        lines = [
            {
                "sellerId": self._random.choice(self.sellers),
                "description": "thing",
                "category": "goods",
                "unitPrice": {"minor": str(self._random.randint(*_MONEY[currency])), "currency": currency},
                "taxRate": "21",
            }
            for _ in range(self._random.randint(1, 3))
        ]
        made = self.wish("paymentCreate", currency=currency, lines=lines, reference=f"order-{len(self.wishes)}")
        if card is not None:
            made.input["paymentMethodToken"] = card
        return made

    async def insist(self, wish: Wish, *, seconds: float = _INSISTS_SECONDS) -> Wish:
        """Asks until there is a definite answer, or puts the wish aside."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not wish.ended and loop.time() < deadline:
            await self.ask(wish)
            if not wish.ended:
                await asyncio.sleep(self._random.uniform(*_PAUSE_SECONDS))
        if not wish.ended and wish not in self.open:
            self.open.append(wish)
        return wish

    async def ask_again(self) -> int:
        """One more try for each wish that was put aside; gives the number that is still open."""
        await asyncio.gather(*(self.ask(wish) for wish in self.open[:50]))
        self.open = [wish for wish in self.open if not wish.ended]
        return len(self.open)

    async def ask(self, wish: Wish) -> None:
        """One try."""
        assert self._http is not None
        type_ = wish.operation[0].upper() + wish.operation[1:]
        fields = _FIELDS[wish.operation]
        query = f"mutation($input: {type_}Input!) {{ {wish.operation}(input: $input) {{ {fields} {_ERRORS} }} }}"
        body = {"query": query, "variables": {"input": {"idempotencyKey": wish.key, **wish.input}}}
        headers = {"authorization": f"Bearer {self.operator_key}"}
        wish.tries += 1
        try:
            async with self._http.post(f"{self.api_url}/graphql", json=body, headers=headers) as response:
                answer = await response.json(content_type=None)
            if answer.get("errors"):
                self.unanswered[answer["errors"][0].get("extensions", {}).get("code") or "error"] += 1
                return
            payload = answer["data"][wish.operation]
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError, KeyError) as error:
            self.unanswered[type(error).__name__] += 1
            return
        made = any(value for name, value in payload.items() if name != "errors")
        if made or not payload["errors"]:  # a declined payment is there too, with its reason
            wish.answer = payload
        elif payload["errors"][0]["retryable"]:
            self.unanswered[payload["errors"][0]["code"]] += 1
        else:
            wish.refusal = payload["errors"][0]["code"]
