"""The bank's rail: accounts that payouts go to and are paid from, files that order them, and what the bank answers."""

from datetime import date, datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row

from marketbill.ids import public_id
from marketbill.payouts import payees
from marketbill.payouts.model import ResultKind
from marketbill.payouts.payees import BankAccount
from marketbill.payouts.rails import bank
from marketbill_graphql import declare
from marketbill_graphql.access import OPERATOR, PLATFORM_READERS, PLATFORM_WRITERS, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, RefusalsAsData
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds
from marketbill_graphql.payout_rails import Rail
from marketbill_graphql.scalars import BigInt, CurrencyCode
from marketbill_graphql.sellers import Seller, load_seller

strawberry.enum(
    ResultKind,
    name="BankResultKind",
    description="PAIN_002 tells whether orders were taken, CAMT_053 what was debited and what came back.",
)


@declare.output(PLATFORM_READERS)
class Payee:
    """By which rail a seller is paid, and his bank account."""

    row: strawberry.Private[Row[Any]]
    rail: Rail = strawberry.field(description="How what he earns from now on is paid.")
    holder: str
    iban_last4: str = strawberry.field(description="The end of the account number; the rest is not shown.")
    bic: str | None
    changed_at: datetime
    changed_by: str

    @declare.computed
    async def seller(self, info: Info) -> Seller:
        """Whose account it is."""
        return await load_seller(info.context, self.row.seller_id)


@declare.output(PLATFORM_READERS)
class BankDebtor:
    """The platform's own account of a currency, which bank files are paid from."""

    currency: CurrencyCode
    holder: str
    iban_last4: str
    bic: str | None
    changed_at: datetime
    changed_by: str


@declare.output(PLATFORM_READERS)
class BankFile(Node):
    """An order to the bank: an ISO 20022 pain.001 file."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="bnk_…")
    message_id: str = strawberry.field(description="The name of the message, which the bank repeats.")
    execute_on: date
    payouts: int = strawberry.field(description="How many orders are in it.")
    amount: Money
    sha256: str
    created_at: datetime
    created_by: str

    @declare.query(OPERATOR)
    async def content(self, info: Info) -> str:
        """The file itself, with the account numbers in plain."""
        return bank.content_of(info.context.services, self.row)


@declare.output(PLATFORM_READERS)
class BankResult:
    """A file of the bank's that was imported."""

    kind: ResultKind
    message_id: str
    orders: int = strawberry.field(description="How many payouts it told of.")
    paid: int
    rejected: int
    returned: int = strawberry.field(description="Carried out, and sent back by the receiving bank.")
    under_way: int
    others: int = strawberry.field(description="Entries that name no order of ours; they were passed over.")
    imported_at: datetime
    imported_by: str


@declare.input
class PayeeSetInput:
    """Whose account, by which rail he is paid from now on, and the account."""

    idempotency_key: str
    seller_id: strawberry.ID
    rail: Rail
    holder: str
    iban: str
    bic: str | None = None


@declare.input
class BankDebtorSetInput:
    """The platform's own account of a currency."""

    idempotency_key: str
    currency: CurrencyCode
    holder: str
    iban: str
    bic: str | None = None


@declare.input
class BankFileCreateInput:
    """Which currency is ordered, and how much the account has for it."""

    idempotency_key: str
    currency: CurrencyCode
    available: BigInt | None = strawberry.field(
        default=None, description="Minor units that the account has: the oldest payouts that fit go first. Else all."
    )


@declare.input
class BankResultImportInput:
    """What the bank answered."""

    idempotency_key: str
    content: str = strawberry.field(
        description="The pain.002 or camt.053 file; imported whole or not at all, once. At most 10,000 characters: "
        "`marketbill bank-import` takes larger files."
    )


PayeeSetError = Annotated[AnyMutationError, strawberry.union("PayeeSetError")]
BankDebtorSetError = Annotated[AnyMutationError, strawberry.union("BankDebtorSetError")]
BankFileCreateError = Annotated[AnyMutationError, strawberry.union("BankFileCreateError")]
BankResultImportError = Annotated[AnyMutationError, strawberry.union("BankResultImportError")]


@declare.output(PLATFORM_WRITERS)
class PayeeSetPayload:
    """The account as it is kept."""

    payee: Payee | None = None
    errors: list[PayeeSetError]


@declare.output(PLATFORM_WRITERS)
class BankDebtorSetPayload:
    """The account as it is kept."""

    bank_debtor: BankDebtor | None = None
    errors: list[BankDebtorSetError]


@declare.output(OPERATOR)
class BankFileCreatePayload:
    """The file; its payouts are under way."""

    bank_file: BankFile | None = None
    errors: list[BankFileCreateError]


@declare.output(OPERATOR)
class BankResultImportPayload:
    """What the file told."""

    bank_result: BankResult | None = None
    errors: list[BankResultImportError]


@strawberry.type
class BankFileQueries:
    @declare.query(PLATFORM_READERS)
    async def bank_files(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> Connection[BankFile]:
        """Files for the bank, newest first."""
        asked = page_request(list_name="bankFiles", first=first, after=after, last=last, before=before)
        found = await info.context.read(lambda scope: bank.files(scope, asked))
        return connection(found, list_name="bankFiles", node=bank_file_of)


@strawberry.type
class BankFileCommands:
    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def payee_set(self, info: Info, input: PayeeSetInput) -> PayeeSetPayload:
        """Sets a seller's bank account, and by which rail he is paid."""
        row = await payees.put(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            seller_id=input.seller_id,
            rail=input.rail,
            account=BankAccount(input.holder, input.iban, input.bic),
        )
        payee = Payee(
            row=row,
            rail=Rail(row.rail),
            holder=row.holder,
            iban_last4=row.iban_last4,
            bic=row.bic,
            changed_at=row.changed_at,
            changed_by=row.changed_by,
        )
        return PayeeSetPayload(payee=payee, errors=[])

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def bank_debtor_set(self, info: Info, input: BankDebtorSetInput) -> BankDebtorSetPayload:
        """Sets the platform's own account of a currency, which bank files are paid from."""
        row = await payees.put_debtor(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            currency=input.currency,
            account=BankAccount(input.holder, input.iban, input.bic),
        )
        debtor = BankDebtor(
            currency=CurrencyCode(row.currency),
            holder=row.holder,
            iban_last4=row.iban_last4,
            bic=row.bic,
            changed_at=row.changed_at,
            changed_by=row.changed_by,
        )
        return BankDebtorSetPayload(bank_debtor=debtor, errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def bank_file_create(self, info: Info, input: BankFileCreateInput) -> BankFileCreatePayload:
        """Orders the payouts that wait for the bank, the oldest first."""
        row = await bank.order(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            currency=input.currency,
            available=input.available,
        )
        return BankFileCreatePayload(bank_file=bank_file_of(row), errors=[])

    @declare.command(OPERATOR, RefusalsAsData())
    async def bank_result_import(self, info: Info, input: BankResultImportInput) -> BankResultImportPayload:
        """Imports what the bank answered to the files."""
        row = await bank.take(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            content=input.content.encode(),
        )
        told = row.outcome
        result = BankResult(
            kind=ResultKind(row.kind),
            message_id=row.message_id,
            orders=told["orders"],
            paid=told.get("PAID", 0),
            rejected=told.get("REJECTED", 0),
            returned=told.get("RETURNED", 0),
            under_way=told.get("UNDER_WAY", 0),
            others=told["others"],
            imported_at=row.imported_at,
            imported_by=row.imported_by,
        )
        return BankResultImportPayload(bank_result=result, errors=[])


def bank_file_of(row: Row[Any]) -> BankFile:
    return BankFile(
        row=row,
        id=strawberry.ID(public_id("bank file", row.id)),
        message_id=row.message_id,
        execute_on=row.execute_on,
        payouts=row.payouts,
        amount=amount(row.amount, row.currency),
        sha256=bytes(row.sha256).hex(),
        created_at=row.created_at,
        created_by=row.created_by,
    )


@finds("bank file", PLATFORM_READERS)
async def _find_bank_file(context: Context, id: str) -> BankFile:
    return bank_file_of(await context.read(lambda scope: bank.file_by_id(scope, id)))
