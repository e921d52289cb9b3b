"""The trial balance: all accounts of a currency together, debit against credit."""

import strawberry

from marketbill.ledger import balances
from marketbill.ledger.chart import AccountKind
from marketbill_graphql import declare
from marketbill_graphql.access import PLATFORM_READERS
from marketbill_graphql.context import Info
from marketbill_graphql.money import Money, amount
from marketbill_graphql.scalars import CurrencyCode


@declare.output(PLATFORM_READERS)
class TrialBalanceRow:
    """The accounts of one family (`seller:*:payable` stands for every seller's)."""

    code: str
    kind: AccountKind
    accounts: int = strawberry.field(description="How many accounts.")
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
    async def trial_balance(self, info: Info) -> list[TrialBalance]:
        """What all accounts hold together, by currency."""
        return [
            TrialBalance(
                currency=CurrencyCode(balance.currency),
                rows=[
                    TrialBalanceRow(
                        code=row.code,
                        kind=row.kind,
                        accounts=row.accounts,
                        debit=amount(row.debit, balance.currency),
                        credit=amount(row.credit, balance.currency),
                    )
                    for row in balance.rows
                ],
                debit=amount(balance.debit, balance.currency),
                credit=amount(balance.credit, balance.currency),
            )
            for balance in await info.context.read(balances.trial_balance)
        ]
