"""The operator's reports, each beside the accounts that it equals."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import strawberry

from marketbill.statements import operator_reports as reports
from marketbill.statements.operator_reports import Dimension
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS
from marketbill_graphql.context import Info
from marketbill_graphql.money import Money, amount
from marketbill_graphql.scalars import CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller
from marketbill_graphql.statements import PeriodInput

strawberry.enum(Dimension, name="FeeDimension", description="By what fees are told apart.")


@declare.output(PLATFORM_READERS)
class FeeBreakdownRow:
    """The fees of one rule, category or seller."""

    seller_id: strawberry.Private[UUID | None]
    name: str = strawberry.field(description="The rule, the category, or the seller's UUID; empty for none.")
    charged: Money
    given_back: Money = strawberry.field(description="With refunds and lost disputes.")
    net: Money

    @declare.computed
    async def seller(self, info: Info) -> Seller | None:
        """The seller, where fees are told apart by sellers."""
        return await load_seller(info.context, self.seller_id) if self.seller_id else None


@declare.output(PLATFORM_READERS)
class FeeBreakdown:
    """The platform's fees of a period in one currency, told apart."""

    currency: CurrencyCode
    start: datetime = strawberry.field(name="from")
    end: datetime = strawberry.field(name="until")
    rows: list[FeeBreakdownRow]
    revenue: Money = strawberry.field(description="What the fee revenue accounts moved by.")
    given_back: Money = strawberry.field(description="What the account of fees given back moved by.")
    unexplained: Money = strawberry.field(description="What of both belongs to no line of a sale; usually zero.")


@declare.output(PLATFORM_READERS)
class TakeRate:
    """What the platform kept of what buyers were charged."""

    currency: CurrencyCode
    start: datetime = strawberry.field(name="from")
    end: datetime = strawberry.field(name="until")
    charged: Money
    fees: Money
    given_back: Money
    provider_fees: Money = strawberry.field(description="What the payment provider charged the platform.")
    rate: Decimal | None = strawberry.field(description="Fees less those given back, in percent of what was charged.")


@declare.output(PLATFORM_READERS)
class HeldMoney:
    """What stands in one place for all sellers together, by their accounts."""

    place: str = strawberry.field(description="PENDING, PAYABLE, RESERVE, AVAILABLE, IN_TRANSIT; DEBT is owed by them.")
    sellers: int = strawberry.field(description="How many have something there.")
    amount: Money


@declare.output(PLATFORM_READERS)
class DebtAge:
    """Debts of at least an age, up to the next row's."""

    days_from: int
    debts: int
    sellers: int
    amount: Money


@declare.output(PLATFORM_READERS)
class DebtReport:
    """What sellers owe now, by age."""

    currency: CurrencyCode
    rows: list[DebtAge]
    receivable: Money = strawberry.field(description="What the sellers' accounts hold.")
    agrees: bool = strawberry.field(description="The rows make what the accounts hold.")


@declare.output(PLATFORM_READERS)
class DisputesInState:
    """The disputes in one state."""

    status: str
    disputes: int
    amount: Money = strawberry.field(description="What buyers contest.")
    outstanding: Money = strawberry.field(description="Withdrawn by the provider, and borne by nobody yet.")
    fees: Money = strawberry.field(description="Charged by the provider, less what it returned.")


@declare.output(PLATFORM_READERS)
class DisputeReport:
    """All disputes by state."""

    currency: CurrencyCode
    rows: list[DisputesInState]
    withdrawn: Money = strawberry.field(description="What the accounts of disputes hold.")
    fees: Money = strawberry.field(description="What the account of dispute fees holds.")
    agrees: bool = strawberry.field(description="The rows make what the accounts hold.")


@strawberry.type
class OperatorReportQueries:
    @declare.query(PLATFORM_READERS)
    async def fee_breakdown(
        self, info: Info, by: Dimension, currency: CurrencyCode, period: PeriodInput
    ) -> FeeBreakdown:
        """The platform's fees by rule, category or seller, and what of them was given back."""
        told = await info.context.read(
            lambda scope: reports.fees_by(scope, by, start=period.start, end=period.end, currency=currency)
        )
        return FeeBreakdown(
            currency=currency,
            start=period.start,
            end=period.end,
            rows=[
                FeeBreakdownRow(
                    seller_id=row.seller,
                    name=row.name,
                    charged=amount(row.charged, currency),
                    given_back=amount(row.given_back, currency),
                    net=amount(row.net, currency),
                )
                for row in told.rows
            ],
            revenue=amount(told.revenue, currency),
            given_back=amount(told.given_back, currency),
            unexplained=amount(told.unexplained, currency),
        )

    @declare.query(PLATFORM_READERS)
    async def take_rate(self, info: Info, currency: CurrencyCode, period: PeriodInput) -> TakeRate:
        """What the platform kept of what buyers were charged in a period."""
        told = await info.context.read(
            lambda scope: reports.take_rate(scope, start=period.start, end=period.end, currency=currency)
        )
        return TakeRate(
            currency=currency,
            start=period.start,
            end=period.end,
            charged=amount(told.charged, currency),
            fees=amount(told.fees, currency),
            given_back=amount(told.given_back, currency),
            provider_fees=amount(told.provider_fees, currency),
            rate=told.rate,
        )

    @declare.query(PLATFORM_READERS)
    async def held_money(self, info: Info, currency: CurrencyCode) -> list[HeldMoney]:
        """Where all sellers' money stands now."""
        rows = await info.context.read(lambda scope: reports.held_money(scope, currency))
        return [HeldMoney(place=row.place, sellers=row.sellers, amount=amount(row.amount, currency)) for row in rows]

    @declare.query(PLATFORM_READERS)
    async def debt_report(self, info: Info, currency: CurrencyCode) -> DebtReport:
        """What sellers owe now, by the age of the debts."""
        told = await info.context.read(lambda scope: reports.debts(scope, currency))
        return DebtReport(
            currency=currency,
            rows=[
                DebtAge(
                    days_from=row.days_from,
                    debts=row.debts,
                    sellers=row.sellers,
                    amount=amount(row.amount, currency),
                )
                for row in told.rows
            ],
            receivable=amount(told.receivable, currency),
            agrees=told.agrees,
        )

    @declare.query(PLATFORM_READERS)
    async def dispute_report(self, info: Info, currency: CurrencyCode) -> DisputeReport:
        """All disputes by state, beside their accounts."""
        told = await info.context.read(lambda scope: reports.disputes(scope, currency))
        return DisputeReport(
            currency=currency,
            rows=[
                DisputesInState(
                    status=row.status,
                    disputes=row.disputes,
                    amount=amount(row.amount, currency),
                    outstanding=amount(row.outstanding, currency),
                    fees=amount(row.fees, currency),
                )
                for row in told.rows
            ],
            withdrawn=amount(told.withdrawn, currency),
            fees=amount(told.fees, currency),
            agrees=told.agrees,
        )
