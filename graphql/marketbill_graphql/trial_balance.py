"""Accounts added up: the balances of a group of them, and the trial balance of all, debit against credit."""

from datetime import datetime

import strawberry

from marketbill.ledger import group_balances, trial_balance
from marketbill.ledger.chart import AccountKind, Side
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS
from marketbill_graphql.context import Info
from marketbill_graphql.ledger import LedgerAccountFilter, group_of
from marketbill_graphql.money import Money, amount
from marketbill_graphql.scalars import CurrencyCode


@declare.output(PLATFORM_READERS)
class LedgerBalance:
    """What a group's accounts of one currency and kind hold together."""

    currency: CurrencyCode
    kind: AccountKind
    side: Side
    accounts: int = strawberry.field(description="How many accounts had moved by then.")
    balance: Money = strawberry.field(description="Positive on the side; holds do not count.")
    available: Money | None = strawberry.field(
        description="The balance less what open holds would take; null for another instant than now."
    )


@declare.output(PLATFORM_READERS)
class TrialBalanceRow:
    """The accounts of one family (`seller:*:payable` stands for every seller's)."""

    code: str
    kind: AccountKind
    accounts: int = strawberry.field(description="How many accounts had moved by then.")
    debit: Money
    credit: Money


@declare.output(PLATFORM_READERS)
class TrialBalance:
    """All accounts of one currency; `debit` equals `credit`, or the books are broken."""

    currency: CurrencyCode
    rows: list[TrialBalanceRow]
    debit: Money
    credit: Money


@strawberry.type
class TrialBalanceQueries:
    @declare.query(PLATFORM_READERS)
    async def ledger_balances(
        self,
        info: Info,
        filter: LedgerAccountFilter | None = None,
        at: datetime | None = None,
        known_at: datetime | None = None,
    ) -> list[LedgerBalance]:
        """What a group of accounts holds together, by currency and kind: now, or at the end of `at` (effective time).

        With `knownAt`, as it was known then: whatever was recorded later is left out. Neither may lie in the future.
        """
        group = group_of(filter)
        found = await info.context.read(
            lambda scope: group_balances.group_balances(scope, group, at=at, known_at=known_at)
        )
        return [
            LedgerBalance(
                currency=CurrencyCode(held.currency),
                kind=held.kind,
                side=held.side,
                accounts=held.accounts,
                balance=amount(held.balance, held.currency),
                available=None if held.available is None else amount(held.available, held.currency),
            )
            for held in found
        ]

    @declare.query(PLATFORM_READERS)
    async def trial_balance(
        self, info: Info, at: datetime | None = None, known_at: datetime | None = None
    ) -> list[TrialBalance]:
        """What all accounts hold together, by currency: now, or at the end of `at` (effective time).

        With `knownAt`, as it was known then: whatever was recorded later is left out. Neither may lie in the future.
        """
        found = await info.context.read(lambda scope: trial_balance.trial_balance(scope, at=at, known_at=known_at))
        return [_trial_balance(balance) for balance in found]


def _trial_balance(balance: trial_balance.TrialBalance) -> TrialBalance:
    currency = balance.currency
    return TrialBalance(
        currency=CurrencyCode(currency),
        rows=[
            TrialBalanceRow(
                code=row.code,
                kind=row.kind,
                accounts=row.accounts,
                debit=amount(row.debit, currency),
                credit=amount(row.credit, currency),
            )
            for row in balance.rows
        ],
        debit=amount(balance.debit, currency),
        credit=amount(balance.credit, currency),
    )
