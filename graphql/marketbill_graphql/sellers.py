"""Sellers: their data, their three gates, their balances, their onboarding and their tokens."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import Row

from marketbill.actor import Role
from marketbill.ids import SellerId, public_id
from marketbill.ledger import accounts
from marketbill.ledger.accounts import SellerPosition
from marketbill.provider.objects import CapabilityState
from marketbill.sellers import queries, seller, suspension, vat_check
from marketbill.sellers.seller import SellerDraft
from marketbill.sellers.suspension import SuspensionCause
from marketbill.sellers.vat_check import VatStatus
from marketbill_graphql import declare, party_tokens
from marketbill_graphql.access import PLATFORM_READERS, PLATFORM_WRITERS, SELLER, TENANT, access
from marketbill_graphql.connections import Connection, connection, page_request
from marketbill_graphql.context import Context, Info
from marketbill_graphql.errors import AnyMutationError, ProviderRefused, RefusalsAsData
from marketbill_graphql.fields import given
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import Node, finds, or_null
from marketbill_graphql.scalars import CurrencyCode

PARTIES = PLATFORM_READERS | SELLER
strawberry.enum(VatStatus, description="What is known of a VAT number beyond its form.")
strawberry.enum(SuspensionCause, description="Why a seller may not sell: the ladder of debts, or an operator.")
strawberry.enum(CapabilityState, description="Whether the provider lets an account receive transfers.")


@declare.output(PARTIES)
class Requirements:
    """What the provider still wants from the seller, in the provider's own field names."""

    currently_due: list[str]
    past_due: list[str]
    pending_verification: list[str]
    disabled_reason: str | None = strawberry.field(
        description="The provider's word; `account_disconnected`: the account is gone, or no longer the platform's."
    )
    due_by: datetime | None


@declare.output(PARTIES)
class SellerBalance:
    """Where a seller's money of one currency stands."""

    currency: CurrencyCode
    pending: Money = strawberry.field(description="Sold, and still held.")
    payable: Money = strawberry.field(description="Released, and to be transferred.")
    reserve: Money = strawberry.field(description="Kept back for a time.")
    available: Money = strawberry.field(description="In the seller's account at the provider: can be paid out.")
    in_transit: Money = strawberry.field(description="On its way to the seller's bank.")
    debt: Money = strawberry.field(description="What the seller owes the platform; the total is less by it.")
    total: Money


@declare.output(PARTIES)
class VatCheck:
    """A question to the register of VAT numbers, and its answer: the evidence for not charging tax."""

    number: str
    status: VatStatus
    requested_at: datetime
    answered_at: datetime | None
    consultation: str | None = strawberry.field(
        description="The register's receipt, given when the platform has a VAT number of its own."
    )
    holder: str | None = strawberry.field(description="In whose name it is registered, where its state tells.")
    next_attempt_at: datetime | None = strawberry.field(description="When it is asked again; null once it answered.")
    failure: str | None = strawberry.field(description="Why there was no answer the last time.")


@declare.output(PARTIES)
class SellerSuspension:
    """A time in which the platform let a seller sell nothing."""

    cause: SuspensionCause
    reason: str
    placed_at: datetime
    placed_by: str = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="An operator's key, or `marketbill`."
    )
    lifted_at: datetime | None
    lifted_by: str | None = strawberry.field(directives=[access(PLATFORM_READERS)])
    lift_reason: str | None


@declare.output(PARTIES)
class Seller(Node):
    """Someone who sells on the platform."""

    row: strawberry.Private[Row[Any]]
    id: strawberry.ID = strawberry.field(directives=[access(TENANT)], description="sel_…")
    name: str = strawberry.field(directives=[access(TENANT)])
    country: str = strawberry.field(directives=[access(TENANT)], description="ISO 3166 alpha-2.")
    email: str
    vat_number: str | None
    vat_number_valid: bool = strawberry.field(
        description="Whether the number is relied on: it has the form of its country and, where the register of VAT"
        " numbers is asked, the register knows it."
    )
    vat_status: VatStatus = strawberry.field(description="What is known of the number beyond its form.")
    vat_checked_at: datetime | None = strawberry.field(description="When the register answered about the number.")
    tax_registrations: list[str] = strawberry.field(
        description="Where the seller accounts for tax beside his own country: `US-CA`; `EU` for the One Stop Shop."
    )
    small_business: bool = strawberry.field(
        description="Exempt at home by the size of the business: no tax is charged there."
    )
    external_ref: str | None = strawberry.field(description="The platform's own name for the seller.")
    may_sell: bool = strawberry.field(
        description="First gate: closed while the platform suspends the seller, and when his account is disconnected."
    )
    transfers: CapabilityState = strawberry.field(description="The provider's word on receiving transfers.")
    may_be_paid_out: bool = strawberry.field(description="Third gate: the provider lets money out to the bank.")
    requirements: Requirements
    provider_account: str | None = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="The account's id at the provider."
    )
    groups: list[str] = strawberry.field(
        directives=[access(PLATFORM_READERS)], description="What fee rules may ask for, such as `founders`."
    )
    version: int = strawberry.field(description="Counts changes; pass it as `expectedVersion`.")
    created_at: datetime
    updated_at: datetime

    @declare.computed
    def may_receive_transfers(self) -> bool:
        """Second gate: the provider lets money in."""
        return self.transfers is CapabilityState.ACTIVE

    @declare.computed
    async def vat_check(self, info: Info) -> VatCheck | None:
        """What the register of VAT numbers said about the present number; null where nobody asked it."""
        found = await info.context.load(vat_check.evidence, self.row.id)
        return vat_check_of(found) if found is not None else None

    @declare.computed
    async def suspensions(self, info: Info) -> list[SellerSuspension]:
        """When and why the platform suspended the seller, the newest first, at most 20. One for debts ends by itself
        once nothing is owed any more, unless a debt was written off."""
        found = await info.context.load(suspension.of, self.row.id) or []
        return [
            SellerSuspension(
                cause=SuspensionCause(row.cause),
                reason=row.reason,
                placed_at=row.placed_at,
                placed_by=row.placed_by,
                lifted_at=row.lifted_at,
                lifted_by=row.lifted_by,
                lift_reason=row.lift_reason,
            )
            for row in found
        ]

    @declare.computed
    async def balances(self, info: Info) -> list[SellerBalance]:
        """Where the seller's money stands now, by currency."""
        return [balance_of(held) for held in await info.context.load(accounts.seller_positions, self.row.id) or []]


@declare.lookup
class SellerLookup:
    """How to find a seller."""

    id: strawberry.ID | None = strawberry.UNSET
    external_ref: str | None = strawberry.UNSET


@declare.input
class SellerCreateInput:
    """A new seller."""

    idempotency_key: str
    name: str
    email: str
    country: str = strawberry.field(description="ISO 3166 alpha-2.")
    vat_number: str | None = None
    external_ref: str | None = strawberry.field(default=None, description="Unique in the platform.")
    groups: list[str] = strawberry.field(
        default_factory=list, description="Small letters, digits and hyphens; at most 20. Fee rules may ask for them."
    )
    tax_registrations: list[str] = strawberry.field(
        default_factory=list,
        description="Where the seller accounts for tax beside his country: `US-CA`; `EU` for the One Stop Shop.",
    )
    small_business: bool = strawberry.field(default=False, description="Exempt at home by the size of the business.")


@declare.input
class SellerUpdateInput:
    """What to change; a field that is left out stays."""

    idempotency_key: str
    id: strawberry.ID
    name: str | None = strawberry.UNSET
    email: str | None = strawberry.UNSET
    vat_number: str | None = strawberry.field(default=strawberry.UNSET, description="Null removes it.")
    tax_registrations: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="All of them, in the place of those before."
    )
    small_business: bool | None = strawberry.UNSET
    suspended: bool | None = strawberry.UNSET
    groups: list[str] | None = strawberry.field(default=strawberry.UNSET, description="All the groups he is in.")
    expected_version: int | None = strawberry.field(default=None, description="Refuse when it changed meanwhile.")


@declare.input
class SellerOnboardingLinkCreateInput:
    """For whom, and where the provider sends the seller afterwards."""

    idempotency_key: str
    seller_id: strawberry.ID
    return_url: str
    refresh_url: str


@declare.input
class SellerTokenCreateInput:
    """For whom, and for how long."""

    idempotency_key: str
    seller_id: strawberry.ID
    lifetime_seconds: int = strawberry.field(default=3600, description="60 to 86400.")


SellerCreateError = Annotated[AnyMutationError | ProviderRefused, strawberry.union("SellerCreateError")]
SellerUpdateError = Annotated[AnyMutationError, strawberry.union("SellerUpdateError")]
SellerOnboardingLinkCreateError = Annotated[
    AnyMutationError | ProviderRefused, strawberry.union("SellerOnboardingLinkCreateError")
]
SellerTokenCreateError = Annotated[AnyMutationError, strawberry.union("SellerTokenCreateError")]


@declare.output(PLATFORM_WRITERS)
class SellerCreatePayload:
    """The new seller."""

    seller: Seller | None = None
    errors: list[SellerCreateError]


@declare.output(PLATFORM_WRITERS)
class SellerUpdatePayload:
    """The seller after the change."""

    seller: Seller | None = None
    errors: list[SellerUpdateError]


@declare.output(PLATFORM_WRITERS | SELLER)
class SellerOnboardingLinkCreatePayload:
    """A page of the provider where the seller completes his data; it works once, for some minutes."""

    seller: Seller | None = None
    url: str | None = None
    expires_at: datetime | None = None
    errors: list[SellerOnboardingLinkCreateError]


@declare.output(PLATFORM_WRITERS)
class SellerTokenCreatePayload:
    """A bearer token that acts as this seller."""

    token: str | None = None
    expires_at: datetime | None = None
    errors: list[SellerTokenCreateError]


@strawberry.type
class SellerQueries:
    @declare.query(PARTIES)
    async def seller(self, info: Info, by: SellerLookup) -> Seller | None:
        """A seller, or null when there is none for this caller."""
        if by.id:
            return await or_null(_find_seller(info.context, by.id))
        actor, ref = info.context.actor, by.external_ref or ""
        row = await info.context.read(lambda scope: queries.by_external_ref(scope, actor, ref))
        return seller_of(row) if row is not None else None

    @declare.query(PLATFORM_READERS)
    async def sellers(
        self,
        info: Info,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        search: str | None = None,
    ) -> Connection[Seller]:
        """The platform's sellers, newest first; `search` is the beginning of a name."""
        asked = page_request(list_name="sellers", first=first, after=after, last=last, before=before)
        actor = info.context.actor
        found = await info.context.read(lambda scope: queries.page(scope, actor, asked, search=search))
        return connection(found, list_name="sellers", node=seller_of)


@strawberry.type
class SellerCommands:
    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def seller_create(self, info: Info, input: SellerCreateInput) -> SellerCreatePayload:
        """Makes a seller, with an account at the payment provider."""
        draft = SellerDraft(
            name=input.name,
            email=input.email,
            country=input.country,
            vat_number=input.vat_number,
            external_ref=input.external_ref,
            groups=input.groups,
            tax_registrations=tuple(input.tax_registrations),
            small_business=input.small_business,
        )
        row = await seller.create(
            info.context.services, info.context.actor, idempotency_key=input.idempotency_key, draft=draft
        )
        return SellerCreatePayload(seller=seller_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def seller_update(self, info: Info, input: SellerUpdateInput) -> SellerUpdatePayload:
        """Changes a seller, or suspends him from selling."""
        names = ("name", "email", "tax_registrations", "small_business", "suspended", "groups")
        changes = given(input, names)
        if input.vat_number is not strawberry.UNSET:
            changes["vat_number"] = input.vat_number
        row = await seller.change(
            info.context.services,
            info.context.actor,
            idempotency_key=input.idempotency_key,
            id=input.id,
            changes=changes,
            expected_version=input.expected_version,
        )
        return SellerUpdatePayload(seller=seller_of(row), errors=[])

    @declare.command(PLATFORM_WRITERS | SELLER, RefusalsAsData())
    async def seller_onboarding_link_create(
        self, info: Info, input: SellerOnboardingLinkCreateInput
    ) -> SellerOnboardingLinkCreatePayload:
        """Makes a link to the provider's onboarding page; each new idempotency key makes a new link."""
        made = await party_tokens.link_once(
            info.context,
            idempotency_key=input.idempotency_key,
            seller_id=input.seller_id,
            return_url=input.return_url,
            refresh_url=input.refresh_url,
        )
        return SellerOnboardingLinkCreatePayload(
            seller=seller_of(made.seller), url=made.link.url, expires_at=made.link.expires_at, errors=[]
        )

    @declare.command(PLATFORM_WRITERS, RefusalsAsData())
    async def seller_token_create(self, info: Info, input: SellerTokenCreateInput) -> SellerTokenCreatePayload:
        """Mints a short-lived token with which a seller may use this API for himself."""
        made = await party_tokens.mint_once(
            info.context,
            operation="sellerTokenCreate",
            idempotency_key=input.idempotency_key,
            role=Role.SELLER,
            party_id=input.seller_id,
            lifetime_seconds=input.lifetime_seconds,
        )
        return SellerTokenCreatePayload(token=made.token, expires_at=made.expires_at, errors=[])


def seller_of(row: Row[Any]) -> Seller:
    wanted = row.requirements or {}
    due_by = wanted.get("due_by")
    return Seller(
        row=row,
        id=strawberry.ID(public_id("seller", row.id)),
        name=row.name,
        country=row.country,
        email=row.email,
        vat_number=row.vat_number,
        vat_number_valid=row.vat_number_valid,
        groups=list(row.groups),
        vat_status=VatStatus(row.vat_status),
        vat_checked_at=row.vat_checked_at,
        tax_registrations=list(row.tax_registrations),
        small_business=row.small_business,
        external_ref=row.external_ref,
        may_sell=seller.may_sell(row),
        transfers=CapabilityState(row.transfers),
        may_be_paid_out=row.provider_account is not None and row.payouts_enabled,
        requirements=Requirements(
            currently_due=wanted.get("currently_due", []),
            past_due=wanted.get("past_due", []),
            pending_verification=wanted.get("pending_verification", []),
            disabled_reason=wanted.get("disabled_reason"),
            due_by=datetime.fromisoformat(due_by) if due_by else None,
        ),
        provider_account=row.provider_account,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def vat_check_of(row: Row[Any]) -> VatCheck:
    return VatCheck(
        number=row.number,
        status=VatStatus(row.status),
        requested_at=row.requested_at,
        answered_at=row.answered_at,
        consultation=row.consultation,
        holder=row.holder,
        next_attempt_at=row.next_attempt_at,
        failure=row.failure,
    )


@finds("seller", PARTIES)
async def _find_seller(context: Context, id: str) -> Seller:
    return seller_of(await context.read(lambda scope: queries.by_id(scope, context.actor, id)))


async def load_seller(context: Context, id: UUID) -> Seller:
    """The seller of a row that the caller may see."""
    return seller_of(await context.load(seller.by_ids, SellerId(id)))


def balance_of(held: SellerPosition) -> SellerBalance:
    return SellerBalance(
        currency=CurrencyCode(held.currency),
        pending=amount(held.pending, held.currency),
        payable=amount(held.payable, held.currency),
        reserve=amount(held.reserve, held.currency),
        available=amount(held.available, held.currency),
        in_transit=amount(held.in_transit, held.currency),
        debt=amount(held.debt, held.currency),
        total=amount(held.total, held.currency),
    )
