"""One platform of a test, in the words of a story: sellers, sales, payouts, and the books at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from sqlalchemy import Row, select

from marketbill.actor import Actor
from marketbill.events import inbox
from marketbill.ids import PaymentId, PayoutId, PlatformId, SellerId, public_id
from marketbill.ledger import accounts, entries, proof
from marketbill.ledger.trial_balance import trial_balance
from marketbill.payments import checkout, recording
from marketbill.payments.checkout import Checkout, PaymentDraft
from marketbill.payments.order import Order, OrderLine
from marketbill.payouts import payout as payouts
from marketbill.payouts import request
from marketbill.payouts.model import transfer
from marketbill.payouts.request import PayoutDraft
from marketbill.platforms import credentials, fee_schedule
from marketbill.reconciliation.check import Verdict
from marketbill.reconciliation.held import prove_held
from marketbill.sellers import seller as sellers
from marketbill.sellers.seller import SellerDraft

if TYPE_CHECKING:
    from tests.market.machine import Machine

#: A VAT number of the Federal Republic's own published example; valid in form and checksum.
GERMAN_VAT = "DE136695976"


_ORDER = ("shipping", "discounts", "buyer", "channel", "method")


@dataclass(slots=True)
class Market:
    """`sellers` are ids by the name that the story gave them; the books use these names too (`seller:A:payable`)."""

    machine: "Machine"
    platform: PlatformId
    operator: Actor
    operator_key: str
    secret_key: str = ""
    provider_account: str = ""
    sellers: dict[str, SellerId] = field(default_factory=dict)

    async def connect(self, *, country: str = "NL", currency: str = "EUR", settle: str = "every") -> None:
        """Gives the platform an account of its own at the sandbox, and its key.

        It settles every currency as it comes, or all in its default one.
        """
        account = await self.machine.control(
            "platforms", {"country": country, "default_currency": currency.lower(), "settle": settle}
        )
        self.secret_key, self.provider_account = account["secret_key"], account["id"]
        await credentials.provider_connect(
            self.machine.services,
            self.operator,
            idempotency_key=self.machine.key(),
            secret_key=self.secret_key,
        )

    async def fees(self, document: object, *, effective_from: datetime | None = None) -> Row[Any]:
        """Publishes a schedule, in force from now on or from an instant to come."""
        services, key = self.machine.services, self.machine.key()
        draft = await fee_schedule.draft(services, self.operator, idempotency_key=key, document=document)
        return await fee_schedule.publish(
            services,
            self.operator,
            idempotency_key=key,
            id=public_id("fee schedule", draft.id),
            effective_from=effective_from,
        )

    async def seller(
        self, name: str, *, country: str = "NL", vat_number: str | None = None, onboard: str | None = "complete"
    ) -> Row[Any]:
        """A seller, brought through the provider's onboarding to `onboard` (None: not at all)."""
        draft = SellerDraft(name, f"{name.lower()}@sellers.example", country, vat_number)
        row = await sellers.create(
            self.machine.services, self.operator, idempotency_key=self.machine.key(), draft=draft
        )
        self.sellers[name] = SellerId(row.id)
        if onboard is not None:
            await self.onboard(name, outcome=onboard)
        return await self.seller_row(name)

    async def onboard(self, *names: str, outcome: str = "complete") -> None:
        """Brings sellers through the provider's onboarding, and tells us."""
        for name in names:
            row = await self.seller_row(name)
            await self.machine.control(f"accounts/{row.provider_account}/onboard", {"outcome": outcome})
        await self.machine.quiet()

    async def seller_row(self, name: str) -> Row[Any]:
        async with self.machine.services.db.read(self.platform) as scope:
            return await sellers.load(scope, self.sellers[name])

    def seller_id(self, name: str) -> str:
        return public_id("seller", self.sellers[name])

    def line(self, seller: str, price: int, **changes: Any) -> OrderLine:
        """A line of one piece at `price` minor units, in EUR with Dutch tax within unless changed."""
        fields: dict[str, Any] = {
            "seller_id": self.seller_id(seller) if seller in self.sellers else seller,
            "description": f"thing of {seller[:40]}",
            "category": "goods",
            "quantity": 1,
            "unit_price": price,
            "currency": "EUR",
            "tax_rate": Decimal(21),
            "tax_inclusive": True,
        }
        return OrderLine(**fields | changes)

    def draft(self, *lines: OrderLine, card: str | None = "pm_card_visa", **changes: Any) -> PaymentDraft:
        currency = changes.pop("currency", lines[0].currency if lines else "EUR")
        order = {name: changes.pop(name) for name in _ORDER if name in changes}
        return PaymentDraft(Order(currency, lines, **order), payment_method_token=card, **changes)

    async def pay(self, draft: PaymentDraft, *, key: str | None = None, actor: Actor | None = None) -> Checkout:
        """The checkout alone; nothing else happens yet."""
        return await checkout.create(
            self.machine.services,
            actor or self.operator,
            idempotency_key=key or self.machine.key(),
            draft=draft,
        )

    async def sale(self, *lines: OrderLine, **changes: Any) -> PaymentId:
        """A paid basket, with all that follows from it at once."""
        paid = await self.pay(self.draft(*lines, **changes))
        assert paid.refusal is None, paid.refusal
        await self.machine.quiet()
        return PaymentId(paid.payment.id)

    async def payout(self, seller: str, amount: int | None = None, *, currency: str = "EUR", **how: Any) -> Row[Any]:
        """A requested payout; the provider is asked by the worker, later."""
        return await request.create(
            self.machine.services,
            how.get("actor", self.operator),
            idempotency_key=how.get("key") or self.machine.key(),
            draft=PayoutDraft(self.seller_id(seller), currency, amount),
        )

    async def payment(self, id: UUID) -> Row[Any]:
        async with self.machine.services.db.read(self.platform) as scope:
            return await recording.load(scope, PaymentId(id))

    async def payout_row(self, id: UUID) -> Row[Any]:
        async with self.machine.services.db.read(self.platform) as scope:
            return await payouts.load(scope, PayoutId(id))

    async def transfers(self, payment: UUID | None = None) -> list[Row[Any]]:
        """All transfers, or those of one payment, by amount."""
        statement = select(transfer).where(transfer.c.platform_id == self.platform)
        if payment is not None:
            statement = statement.where(transfer.c.payment_id == payment)
        async with self.machine.services.db.read(self.platform) as scope:
            return list(await scope.rows(statement.order_by(transfer.c.amount.desc())))

    async def stripe(self, path: str, *, account: str | None = None, form: dict[str, Any] | None = None) -> Any:
        """The provider's own API with the platform's key, past the line; a POST when there is a form."""
        headers = {"authorization": f"Bearer {self.secret_key}"} | ({"stripe-account": account} if account else {})
        method = "GET" if form is None else "POST"
        url = f"{self.machine.sandbox_url}/v1/{path}"
        async with self.machine.http.request(method, url, headers=headers, data=form) as response:
            answer = orjson.loads(await response.read())
            assert response.status == 200, answer
            return answer

    async def charges(self) -> list[Any]:
        """The charges that the provider made for this platform and that took money."""
        return [one for one in (await self.stripe("charges?limit=100"))["data"] if one["paid"]]

    async def books(self) -> dict[tuple[str, str], int]:
        """What every account that ever moved holds, on its own side; sellers by their names."""
        async with self.machine.services.db.read(self.platform) as scope:
            held = await accounts.accounts(scope, limit=1000)
        return {(self._named(account.code), account.currency): account.balance for account in held}

    async def journal(self, source: UUID | None = None) -> list[tuple[str, list[tuple[str, str, int]]]]:
        """Entries in their order: kind, and postings as (debited, credited, amount), sellers by their names."""
        async with self.machine.services.db.read(self.platform) as scope:
            held = {account.id: account.code for account in await accounts.accounts(scope, limit=1000)}
            if source is None:
                found = list(await entries.entry_page(scope, limit=1000))
            else:
                found = (await entries.entries_by_sources(scope, [source]))[source]
            found.sort(key=lambda entry: entry.number)
            postings = await entries.postings_by_entries(scope, [entry.id for entry in found])
        return [
            (
                entry.kind,
                [
                    (self._named(held[one.debit_account_id]), self._named(held[one.credit_account_id]), one.amount)
                    for one in sorted(postings[entry.id], key=lambda one: one.ordinal)
                ],
            )
            for entry in found
        ]

    async def prove(self, *, troubled: Sequence[str] = ()) -> None:
        """Ends a story at the books: they balance, prove themselves, and agree with the provider to the cent.

        `troubled` are the types of the events that the story leaves unhandled on purpose.
        """
        async with self.machine.services.db.read(self.platform) as scope:
            for trial in await trial_balance(scope):
                assert trial.debit == trial.credit, trial
            assert await proof.check(scope) == []
            assert [check for check in await prove_held(scope) if check.verdict is Verdict.BROKEN] == []
            assert [event.type for event in await inbox.troubled(scope)] == list(troubled)
        if self.secret_key:
            await self._agree_with_provider()

    async def _agree_with_provider(self) -> None:
        """The platform's balance and every seller's at the provider are what our accounts say."""
        state = await self.machine.control("state")
        assert state["books_balance"], state["differences"]
        assert state["broken"] == []
        names = {(await self.seller_row(name)).provider_account: name for name in self.sellers}
        books = await self.books()
        found: dict[tuple[str, str], int] = {}
        for row in (await self.machine.control("balances"))["balances"]:
            currency = row["currency"].upper()
            factor = 100 if currency in ("ISK", "UGX") else 1
            available, pending = row["available"] // factor, row["pending"] // factor
            if row["account"] == self.provider_account:
                found["psp:available", currency] = available
                found["psp:pending", currency] = pending
            elif row["account"] in names:
                found[f"custody:{names[row['account']]}:available", currency] = available + pending
        for (code, currency), amount in found.items():
            assert books.get((code, currency), 0) == amount, (code, currency, books)
        for (code, currency), amount in books.items():
            if code.startswith("psp:") or (code.startswith("custody:") and code.endswith(":available")):
                assert found.get((code, currency), 0) == amount, (code, currency, found)

    def _named(self, code: str) -> str:
        for name, id in self.sellers.items():
            code = code.replace(public_id("seller", id), name)
        return code
