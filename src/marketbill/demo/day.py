"""One marketplace day, unattended: it sells, time passes, sellers are paid, and the books are shown and proven."""

from typing import Any

from rich.console import Console

from marketbill.demo.api import Api
from marketbill.demo.course import Course, DayWentWrong, moment
from marketbill.demo.market import Market, line, open_market, worked_basket
from marketbill.demo.sandbox import SandboxControl
from marketbill.demo.tables import fee_table, journal_table, line_table, split_table, statement_table, trial_table
from marketbill.ids import PlatformId, parse_id
from marketbill.reconciliation.check import Check
from marketbill.reconciliation.verify import verify
from marketbill.services import Services

_FROM = "2000-01-01T00:00:00Z"
_UNTIL = "2100-01-01T00:00:00Z"
#: What the worked basket must give each seller, in cents (docs: the worked journal).
WORKED_NET = {"A": 4379, "B": 3589, "C": 2717}
CURRENCIES = ("EUR", "JPY", "KWD")


class Day:
    """The day of one market: its steps in order, and what they leave behind."""

    def __init__(self, services: Services, api: Api, sandbox: SandboxControl, console: Console) -> None:
        self._services = services
        self._bootstrap = api
        self._sandbox = sandbox
        self._console = console
        self._course = Course(services, sandbox, api, console)
        self._market: Market
        self._operator: Api
        self._service: Api
        self._payments: list[str] = []
        self._payouts: list[str] = []

    async def run(self) -> list[Check]:
        """Runs the day and prints the books. Raises DayWentWrong, OperationFailed, NeverHappened."""
        step = self._course.step
        async with step("a platform, three sellers with completed onboarding, two buyers with cards"):
            self._market = await open_market(self._bootstrap, self._sandbox)
            self._operator = self._bootstrap.as_(self._market.operator_key)
            self._service = self._bootstrap.as_(self._market.service_key)
        self._course = Course(self._services, self._sandbox, self._service, self._console)
        preview = await self._service.do("paymentPreview", currency="EUR", lines=worked_basket(self._market))
        async with step("one basket of three sellers, 121.00 EUR, paid once by card"):
            worked = await self._sell(
                "worked", worked_basket(self._market), paymentMethodId=self._market.methods["anna"]
            )
        async with step("a card that must be authenticated (3-D Secure), approved by its holder"):
            await self._sell_authenticated()
        async with step("a card that is declined: a typed refusal, and nothing is booked"):
            await self._sell_declined()
        async with step("a sale in JPY (no decimals) and one in KWD (three decimals)"):
            await self._sell_abroad()
        async with step("the provider's fees are known, every sale is split and booked"):
            await self._course.payments(self._payments, "settledAt", "its charge is settled")
        async with step("days pass: funds become available, money is released and transferred to the sellers"):
            await self._let_funds_arrive()
        async with step("sellers B and C are paid out; days pass; the money is at their banks"):
            await self._pay_out()
        await self._show(preview["split"], worked)
        async with step("the books are proven against themselves and against the provider"):
            checks = await verify(self._services, self._platform, reader=self._sandbox.holdings)
        return checks

    @property
    def _platform(self) -> PlatformId:
        return PlatformId(parse_id("platform", self._market.platform))

    async def _sell(self, name: str, lines: list[dict[str, Any]], *, currency: str = "EUR", **how: Any) -> str:
        made = await self._service.do(
            "paymentCreate",
            idempotencyKey=f"day:{name}",
            reference=f"DAY-{name}",
            currency=currency,
            lines=lines,
            **how,
        )
        self._payments.append(made["payment"]["id"])
        return made["payment"]["id"]

    async def _sell_authenticated(self) -> None:
        lines = [line(self._market.sellers["A"], "Woollen blanket", 8900, "EUR")]
        made = await self._service.do(
            "paymentCreate",
            idempotencyKey="day:authenticated",
            reference="DAY-authenticated",
            currency="EUR",
            lines=lines,
            paymentMethodToken="pm_card_threeDSecure2Required",
            returnUrl="https://demo.example/back",
        )
        payment = made["payment"]
        if payment["status"] != "REQUIRES_ACTION" or not payment["nextAction"]:
            raise DayWentWrong(f"a card that needs authentication answered {payment['status']}")
        await self._sandbox.authenticate(payment["providerPayment"])
        self._payments.append(payment["id"])

    async def _sell_declined(self) -> None:
        answer = await self._service.ask(
            "paymentCreate",
            input={
                "idempotencyKey": "day:declined",
                "reference": "DAY-declined",
                "currency": "EUR",
                "lines": [line(self._market.sellers["C"], "Fruit bowl", 6400, "EUR")],
                "paymentMethodToken": "pm_card_chargeDeclined",
            },
        )
        kinds = [error["__typename"] for error in answer["errors"]]
        if kinds != ["ProviderDeclined"]:
            raise DayWentWrong(f"a declined card was answered with {kinds or 'no error'}")

    async def _sell_abroad(self) -> None:
        sellers = self._market.sellers
        yen = [line(sellers["A"], "Indigo scarf", 5800, "JPY"), line(sellers["C"], "Tea bowl", 7200, "JPY")]
        dinar = [line(sellers["A"], "Saddle rug", 9000, "KWD")]
        await self._sell("yen", yen, currency="JPY", paymentMethodToken="pm_card_visa")
        await self._sell("dinar", dinar, currency="KWD", paymentMethodToken="pm_card_visa")

    async def _let_funds_arrive(self) -> None:
        payments = [await self._service.ask("payment", by={"id": id}) for id in self._payments]
        await self._course.advance_to(max(moment(payment["availableOn"]) for payment in payments))
        await self._course.payments(self._payments, "releasedAt", "its money is released")
        await self._course.transfers_sent(*self._payments)

    async def _pay_out(self) -> None:
        for letter in ("B", "C"):
            made = await self._operator.do(
                "payoutCreate",
                idempotencyKey=f"day:payout:{letter}",
                sellerId=self._market.sellers[letter],
                currency="EUR",
            )
            self._payouts.append(made["payout"]["id"])
        await self._course.paid_out(self._payouts)

    async def _show(self, split: dict[str, Any], worked: str) -> None:
        show = self._console.print
        show(split_table(split))
        show(line_table(split))
        self._check_split(split)
        payment = await self._service.ask("payment", by={"id": worked})
        sources = [worked, *(transfer["id"] for transfer in payment["transfers"]), *self._payouts]
        entries = [await self._service.ask("journal", source=source) for source in sources]
        names = {id: letter for letter, id in self._market.sellers.items()}
        show(journal_table([entry for page in entries for entry in page["nodes"]], names))
        for trial in await self._service.ask("trialBalance"):
            show(trial_table(trial))
            if trial["debit"]["minor"] != trial["credit"]["minor"]:
                raise DayWentWrong(f"the trial balance in {trial['currency']} does not balance")
        period = {"from": _FROM, "until": _UNTIL}
        for id in self._market.sellers.values():
            drawn = await self._service.ask("statement", sellerId=id, currency="EUR", period=period)
            show(statement_table(drawn))
            if not drawn["agrees"]:
                raise DayWentWrong(f"the statement of {drawn['seller']['name']} does not close")
        for currency in CURRENCIES:
            report = await self._service.ask("feeReport", currency=currency, period=period)
            show(fee_table(report))
            if not report["agrees"]:
                raise DayWentWrong(f"the fee report in {currency} is not the fee revenue account")

    def _check_split(self, split: dict[str, Any]) -> None:
        found = {share["seller"]["name"][0]: int(share["amounts"]["sellerNet"]["minor"]) for share in split["sellers"]}
        if found != WORKED_NET:
            raise DayWentWrong(f"the worked basket gives {found}, not {WORKED_NET}")
