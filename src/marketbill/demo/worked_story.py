"""The worked journal as a story: one basket from charge to payout, refunded in part, disputed, a debt written off.

Everything goes through the API, the workers and the sandbox. At the end our journal stands beside the worked one of
the documentation (`ledger.worked_journal`), posting by posting.
"""

from typing import Any

from rich.console import Console

from marketbill.demo.api import Api
from marketbill.demo.comparison import balance_table, balances, compare, comparison_table
from marketbill.demo.course import Course, DayWentWrong, moment
from marketbill.demo.market import Market, open_market, worked_basket
from marketbill.demo.patience import until
from marketbill.demo.sandbox import SandboxControl
from marketbill.ids import PlatformId, parse_id
from marketbill.ledger import worked_journal
from marketbill.reconciliation.check import Check
from marketbill.reconciliation.verify import verify
from marketbill.services import Services

_NAME = "Worked Market"
_CURRENCY = "EUR"
_FLOAT = 20_000
_REFUNDED = 2_000
#: All that is left of the sale.
_DISPUTED = 10_100
_DISPUTE_FEE = 2_000
_PAGE = 100


class WorkedStory:
    """Runs on a machine that is up; `run` gives the checks of the proof."""

    def __init__(self, services: Services, api: Api, sandbox: SandboxControl, console: Console) -> None:
        self._services = services
        self._bootstrap = api
        self._sandbox = sandbox
        self._console = console
        self._market: Market
        self._operator: Api
        self._second: Api
        self._course: Course
        self._payment = ""
        self._dispute = ""

    async def run(self) -> list[Check]:
        """Raises DayWentWrong where ours is not the worked journal; OperationFailed, NeverHappened."""
        await self._open()
        step = self._course.step
        async with step("J0: the platform tops its balance up by 200.00, disputes shall cost 20.00 and 20.00"):
            await self._top_up()
        async with step("J1 to J3: one basket of three sellers, 121.00, is paid and split"):
            await self._sell()
        async with step("J4 to J6: its funds are there, it is released and transferred"):
            await self._let_funds_arrive()
        async with step("J7, J8: B and C are paid out"):
            await self._pay_out("B", "C")
        async with step("R1 to R3: 20.00 of what A sold are refunded, exactly as previewed"):
            await self._refund()
        async with step("D1, D2: the other 101.00 are disputed, and the dispute is contested"):
            await self._contest()
        async with step("D3 to D5: the dispute is lost; what can be had is taken back, the rest is debt"):
            await self._lose()
        async with step("D6: the debt of C is written off, which takes two"):
            await self._write_off("C")
        await self._compare()
        async with step("the books are proven against themselves and against the provider"):
            platform = PlatformId(parse_id("platform", self._market.platform))
            return await verify(self._services, platform, reader=self._sandbox.holdings)

    async def _open(self) -> None:
        self._market = await open_market(self._bootstrap, self._sandbox, name=_NAME)
        self._operator = self._bootstrap.as_(self._market.operator_key)
        self._course = Course(self._services, self._sandbox, self._operator, self._console)
        second = await self._operator.do(
            "apiKeyCreate", idempotencyKey="story:second", name="Second operator", role="OPERATOR"
        )
        self._second = self._bootstrap.as_(second["secret"])

    async def _top_up(self) -> None:
        platform = await self._operator.ask("platform")
        await self._sandbox.price_disputes(_CURRENCY, received=_DISPUTE_FEE, countered=_DISPUTE_FEE)
        await self._operator.do(
            "disputePolicyPublish",
            idempotencyKey="story:policy",
            counteredFees=[{"minor": str(_DISPUTE_FEE), "currency": _CURRENCY}],
            note="What the provider's contract says that answering a dispute costs.",
        )
        await self._sandbox.top_up(platform["provider"]["account"], _FLOAT, _CURRENCY)
        await self._booked("float")

    async def _sell(self) -> None:
        made = await self._operator.do(
            "paymentCreate",
            idempotencyKey="story:basket",
            reference="STORY-1",
            currency=_CURRENCY,
            lines=worked_basket(self._market),
            paymentMethodId=self._market.methods["anna"],
        )
        self._payment = made["payment"]["id"]
        await self._course.payment(self._payment, "settledAt", "its charge is settled")

    async def _let_funds_arrive(self) -> None:
        payment = await self._operator.ask("payment", by={"id": self._payment})
        await self._course.advance_to(moment(payment["availableOn"]))
        await self._course.payments([self._payment], "releasedAt", "its money is released")
        await self._course.transfers_sent(self._payment)

    async def _pay_out(self, *letters: str) -> None:
        payouts: list[str] = []
        for letter in letters:
            made = await self._operator.do(
                "payoutCreate",
                idempotencyKey=f"story:payout:{letter}",
                sellerId=self._market.sellers[letter],
                currency=_CURRENCY,
            )
            payouts.append(made["payout"]["id"])
        await self._course.paid_out(payouts)

    async def _refund(self) -> None:
        payment = await self._operator.ask("payment", by={"id": self._payment})
        [line] = [one for one in payment["lines"] if one["seller"]["id"] == self._market.sellers["A"]]
        wanted = {
            "paymentId": self._payment,
            "kind": "LINES",
            "cause": "SELLER_FAULT",
            "reason": "A part of it was broken.",
            "lines": [{"lineId": line["id"], "amount": str(_REFUNDED)}],
        }
        preview = await self._operator.ask("refundPreview", input=wanted)
        shown = ", ".join(f"{one['bearer'].split(':')[0]} {one['settled']['decimal']}" for one in preview["bearers"])
        self._console.print(f"     the preview: {shown}", style="dim", markup=False)
        await self._operator.do("refundCreate", idempotencyKey="story:refund", token=preview["token"], refund=wanted)
        await self._booked("refund-paid")

    async def _contest(self) -> None:
        payment = await self._operator.ask("payment", by={"id": self._payment})
        await self._sandbox.dispute(payment["providerCharge"], _DISPUTED)
        self._dispute = await until("the dispute is known", self._open_dispute)
        await self._operator.do(
            "disputeEvidenceAdd",
            idempotencyKey="story:evidence",
            id=self._dispute,
            pieces=[{"field": "uncategorized_text", "content": "All three parcels were delivered."}],
        )
        preview = await self._operator.ask("disputePreview", id=self._dispute, doubtful=[self._market.sellers["C"]])
        lost = preview["ifContestedAndLost"]["decimal"]
        self._console.print(
            f"     the preview: the platform's result of this sale, contested and lost, is {lost}", style="dim"
        )
        if lost != worked_journal.PLATFORM_RESULT:
            raise DayWentWrong(f"the preview shows {lost}, not {worked_journal.PLATFORM_RESULT}")
        await self._operator.do(
            "disputeContest", idempotencyKey="story:contest", id=self._dispute, token=preview["contestToken"]
        )
        await self._booked("dispute-countered")

    async def _open_dispute(self) -> str | None:
        found = (await self._operator.ask("disputes", filter={"paymentId": self._payment}))["nodes"]
        return found[0]["id"] if found and found[0]["status"] == "NEEDS_RESPONSE" else None

    async def _lose(self) -> None:
        [dispute] = (await self._operator.ask("disputes", filter={"paymentId": self._payment}))["nodes"]
        await self._sandbox.decide(dispute["providerDispute"], "lost")
        await self._booked("dispute-lost")

    async def _write_off(self, letter: str) -> None:
        debts = (await self._operator.ask("debts", filter={"sellerId": self._market.sellers[letter]}))["nodes"]
        for debt in debts:
            proposed = await self._operator.do(
                "writeOffPropose",
                idempotencyKey=f"story:write-off:{debt['id']}",
                debtId=debt["id"],
                reason="The seller has closed for good.",
            )
            await self._second.do(
                "writeOffApprove",
                idempotencyKey=f"story:approve:{debt['id']}",
                id=proposed["writeOff"]["id"],
            )
        await self._booked("write-off")

    async def _compare(self) -> None:
        entries = await self._journal()
        names = {id: letter for letter, id in self._market.sellers.items()} | {self._dispute: "dp_1"}
        compared = compare(entries, names)
        self._console.print(comparison_table(compared))
        self._console.print(balance_table(balances(compared)))
        different = [one for one in compared if not one.equal]
        if different:
            raise DayWentWrong(f"{len(different)} entries are not those of the worked journal: see the table above")
        self._console.print(f"Equal to the cent: all {len(compared)} entries of the worked journal.", style="green")

    async def _booked(self, kind: str) -> None:
        """Waits until the journal has an entry of this kind."""

        async def ask() -> bool:
            return any(entry["kind"] == kind for entry in await self._journal())

        await until(f"the entry {kind} is booked", ask)

    async def _journal(self) -> list[dict[str, Any]]:
        """All entries of the story, oldest first: it has fewer than a page."""
        page = await self._operator.ask("journalEntries", first=_PAGE)
        return page["nodes"][::-1]
