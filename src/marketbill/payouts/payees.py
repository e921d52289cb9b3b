"""Payees: by which rail a seller is paid, and his bank account where the platform's own bank pays him.

Account numbers are kept sealed; only the file for the bank has them in plain."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, select, text
from stdnum import bic as bics
from stdnum import iban as ibans
from stdnum.exceptions import ValidationError

from marketbill.actor import Actor
from marketbill.db import Scope
from marketbill.errors import InvalidInput, SellerNotAllowed
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PlatformId, SellerId, parse_id, public_id
from marketbill.money import exponent
from marketbill.payouts import pauses
from marketbill.payouts.model import Rail, bank_debtor, payee
from marketbill.platforms.keys import tenant
from marketbill.sellers import seller as sellers
from marketbill.services import Services
from marketbill.text import check_usable

#: What a SEPA order has room for.
HOLDER_LENGTH_MAX = 70
_OF = select(payee).where(
    payee.c.platform_id == bindparam("platform"), payee.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_()
)
_PUT_PAYEE = text(
    """
    insert into payee (platform_id, seller_id, rail, holder, iban, iban_last4, bic, changed_at, changed_by)
    values (:platform, :seller, :rail, :holder, :iban, :last4, :bic, :now, :by)
    on conflict (platform_id, seller_id) do update set rail = excluded.rail, holder = excluded.holder,
      iban = excluded.iban, iban_last4 = excluded.iban_last4, bic = excluded.bic, changed_at = excluded.changed_at,
      changed_by = excluded.changed_by
    returning *
    """
).columns(*payee.c)
_PUT_DEBTOR = text(
    """
    insert into bank_debtor (platform_id, currency, holder, iban, iban_last4, bic, changed_at, changed_by)
    values (:platform, :currency, :holder, :iban, :last4, :bic, :now, :by)
    on conflict (platform_id, currency) do update set holder = excluded.holder, iban = excluded.iban,
      iban_last4 = excluded.iban_last4, bic = excluded.bic, changed_at = excluded.changed_at,
      changed_by = excluded.changed_by
    returning *
    """
).columns(*bank_debtor.c)


@dataclass(frozen=True, slots=True)
class BankAccount:
    """A bank account as it was given: `holder` is the name it is in."""

    holder: str
    iban: str
    bic: str | None = None


async def put(
    services: Services, actor: Actor, *, idempotency_key: str, seller_id: str, rail: Rail, account: BankAccount
) -> Row[Any]:
    """Sets a seller's bank account, and by which rail what he earns from now on is paid.

    Raises NotFound, InvalidInput.
    """
    platform = tenant(actor)
    account = checked(account)
    body = {
        "seller_id": seller_id, "rail": rail, "holder": account.holder, "iban": account.iban, "bic": account.bic,
    }  # fmt: skip
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="payeeSet", key=idempotency_key, body=body
        )
        seller = SellerId(parse_id("seller", seller_id, path=("sellerId",)))
        await sellers.load(scope, seller, path=("sellerId",), lock=True)
        if claim.replay is not None:
            return (await of(scope, [seller]))[seller]
        row = await scope.one(
            _PUT_PAYEE,
            {
                "platform": platform,
                "seller": seller,
                "rail": rail,
                **_sealed(services, platform, account, public_id("seller", seller)),
                "now": scope.now,
                "by": actor.id,
            },
        )
        await pauses.end(scope, seller)
        await idempotency.finish(scope, claim, {"id": seller_id})
        return row


async def put_debtor(
    services: Services, actor: Actor, *, idempotency_key: str, currency: str, account: BankAccount
) -> Row[Any]:
    """Sets the platform's own bank account of a currency, which bank files are paid from. Raises InvalidInput."""
    platform = tenant(actor)
    exponent(currency, path=("currency",))
    account = checked(account)
    body = {"currency": currency, "holder": account.holder, "iban": account.iban, "bic": account.bic}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="bankDebtorSet", key=idempotency_key, body=body
        )
        sealed = _sealed(services, platform, account, currency)
        values = {"platform": platform, "currency": currency, **sealed, "now": scope.now, "by": actor.id}
        if claim.replay is not None:
            found = await debtor(scope, currency)
            if found is not None:
                return found
        row = await scope.one(_PUT_DEBTOR, values)
        await idempotency.finish(scope, claim, {"currency": currency})
        return row


def checked(account: BankAccount) -> BankAccount:
    """The account in the form it is kept in. Raises InvalidInput for a number that cannot be one."""
    check_usable(account.holder, path=("holder",))
    holder = " ".join(account.holder.split())
    if not 1 <= len(holder) <= HOLDER_LENGTH_MAX:
        raise InvalidInput("The holder's name has 1 to 70 characters.", path=("holder",), constraint="1..70 characters")
    try:
        iban = ibans.validate(account.iban)
    except ValidationError:
        raise InvalidInput("This is no IBAN.", path=("iban",), constraint="ISO 13616") from None
    try:
        bic = bics.validate(account.bic) if account.bic else None
    except ValidationError:
        raise InvalidInput("This is no BIC.", path=("bic",), constraint="ISO 9362") from None
    return BankAccount(holder, iban, bic)


async def of(scope: Scope, sellers: Collection[UUID]) -> dict[UUID, Row[Any]]:
    """The payees among these sellers."""
    rows = await scope.rows(_OF, {"platform": scope.platform, "sellers": list(sellers)})
    return {row.seller_id: row for row in rows}


async def rail(scope: Scope, seller: UUID) -> Rail:
    """By which rail what a seller earns now is paid."""
    found = (await of(scope, [seller])).get(seller)
    return Rail.PROVIDER if found is None else Rail(found.rail)


async def on_bank_rail(scope: Scope, sellers: Collection[UUID]) -> set[UUID]:
    """Those of these sellers whom the platform's own bank pays: they get no transfers at the provider."""
    return {id for id, row in (await of(scope, sellers)).items() if row.rail == Rail.BANK}


async def check(scope: Scope, seller: Row[Any], rail: Rail) -> None:
    """Raises SellerNotAllowed where a seller shall be paid by the bank, and his account is not known."""
    if rail is Rail.BANK and seller.id not in await of(scope, [seller.id]):
        raise SellerNotAllowed(
            f"No bank account of {seller.name} is known: set it with payeeSet.",
            seller_id=public_id("seller", seller.id),
            gate="PAYOUT",
            path=("sellerId",),
        )


async def debtor(scope: Scope, currency: str) -> Row[Any] | None:
    """The platform's own bank account of a currency."""
    return await scope.first(
        select(bank_debtor).where(bank_debtor.c.platform_id == scope.platform, bank_debtor.c.currency == currency)
    )


async def debtors(scope: Scope) -> Sequence[Row[Any]]:
    """The platform's own bank accounts, one of a currency."""
    return await scope.rows(select(bank_debtor).where(bank_debtor.c.platform_id == scope.platform))


def iban_of(services: Services, row: Row[Any]) -> str:
    """The account number in plain, for the bank's file."""
    owner = row.currency if "currency" in row._mapping else public_id("seller", row.seller_id)
    return services.vault.decrypt(row.iban, context=_context(row.platform_id, owner))


def _sealed(services: Services, platform: PlatformId, account: BankAccount, owner: str) -> dict[str, Any]:
    return {
        "holder": account.holder,
        "iban": services.vault.encrypt(account.iban, context=_context(platform, owner)),
        "last4": account.iban[-4:],
        "bic": account.bic,
    }


def _context(platform: UUID, owner: str) -> str:
    return f"iban:{platform}:{owner}"
