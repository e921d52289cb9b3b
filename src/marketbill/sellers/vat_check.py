"""Sellers' VAT numbers: checked by form and digits always, and by the Commission's register where one is set.

Without `VAT_CHECK_URL` the form decides, and a number that has it is UNCHECKED. With it a number of the Union is
PENDING, and not relied on, until the register has answered; while the register is away it is asked again by the
schedule, ever less often. Each number that was asked about keeps its answer as evidence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ARRAY, Row, Uuid, bindparam, insert, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on

from marketbill.db import Scope, WriteScope
from marketbill.ids import PlatformId, new_id
from marketbill.platforms.model import platform as platform_table
from marketbill.rules.countries import EU_MEMBERS
from marketbill.rules.tax.vat_number import vat_number_valid, vat_prefix, without_prefix
from marketbill.sellers.model import seller, vat_check
from marketbill.sellers.vies import VatAnswer, VatOffice, VatOfficeUnavailable, Vies
from marketbill.services import Services

BATCH_MAX = 20
#: A question is asked again after this, doubled each time, at most after `ASKED_AGAIN_MAX`.
ASKED_AGAIN = timedelta(minutes=2)
ASKED_AGAIN_MAX = timedelta(hours=6)
_NORTHERN_IRELAND = "XI"
#: SQL: a number that the register is to be asked about.
CHECK_DUE = "v.next_attempt_at <= cast(:now as timestamptz)"
_CLAIM = text(
    f"""
    select v.* from vat_check v where v.platform_id = :platform and {CHECK_DUE}
    order by v.next_attempt_at limit :limit for update skip locked
    """  # noqa: S608 (our own words alone)
)
_EVIDENCE = (
    select(vat_check)
    .ext(distinct_on(vat_check.c.seller_id))
    .join(
        seller,
        (seller.c.platform_id == vat_check.c.platform_id)
        & (seller.c.id == vat_check.c.seller_id)
        & (seller.c.vat_number == vat_check.c.number),
    )
    .where(
        vat_check.c.platform_id == bindparam("platform"),
        vat_check.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_(),
    )
    .order_by(vat_check.c.seller_id, vat_check.c.id.desc())
)
log = structlog.get_logger()


class VatStatus(StrEnum):
    """What is known of a VAT number beyond its form."""

    #: The register knows it.
    VALID = "VALID"
    #: Its form or digits are wrong, or the register does not know it.
    INVALID = "INVALID"
    #: The register has not answered yet; it is asked again.
    PENDING = "PENDING"
    #: No number, or nobody was asked: only its form is known to be right.
    UNCHECKED = "UNCHECKED"


@dataclass(frozen=True, slots=True)
class VatStanding:
    """A number as it stands. `valid`: it may be relied on. `asked_of`: the country whose number the register is to be
    asked about (`XI` for Northern Ireland), None when it is not."""

    valid: bool
    status: VatStatus
    asked_of: str | None = None


def standing(services: Services, *, country: str, number: str | None) -> VatStanding:
    """How a number that was just given stands before anybody was asked."""
    if number is None:
        return VatStanding(False, VatStatus.UNCHECKED)
    if not vat_number_valid(country=country, number=number):
        return VatStanding(False, VatStatus.INVALID)
    asked_of = _registered_in(country, number) if office(services) is not None else None
    if asked_of is None:
        return VatStanding(True, VatStatus.UNCHECKED)
    return VatStanding(False, VatStatus.PENDING, asked_of)


def office(services: Services) -> VatOffice | None:
    """Who is asked, None where the form alone decides."""
    url = services.settings.vat_check_url
    return Vies(url) if url else None


async def open_check(scope: WriteScope, seller_id: UUID, stands: VatStanding, number: str | None) -> UUID | None:
    """Notes that the register is to be asked about the seller's new number; what waited before waits no more.

    Gives the id of what to ask with `ask`, once this transaction is committed.
    """
    await scope.run(
        update(vat_check)
        .where(
            vat_check.c.platform_id == scope.platform,
            vat_check.c.seller_id == seller_id,
            vat_check.c.status == VatStatus.PENDING,
        )
        .values(status=VatStatus.UNCHECKED, next_attempt_at=None, failure="another number took its place")
    )
    if stands.asked_of is None or number is None:
        return None
    id = new_id()
    await scope.run(
        insert(vat_check).values(
            platform_id=scope.platform,
            id=id,
            seller_id=seller_id,
            country=stands.asked_of,
            number=number,
            status=VatStatus.PENDING,
            requested_at=scope.now,
            attempts=0,
            # The caller asks first; should he be interrupted, the schedule does.
            next_attempt_at=scope.now + ASKED_AGAIN,
        )
    )
    return id


async def ask(services: Services, platform: PlatformId, id: UUID) -> None:
    """Asks the register about one number, and keeps what it says. Its being away is no error: it stays PENDING."""
    async with services.db.read(platform) as scope:
        row = await scope.first(select(vat_check).where(vat_check.c.platform_id == platform, vat_check.c.id == id))
        requester = await _requester(scope)
    if row is not None and row.status == VatStatus.PENDING:
        await _ask(services, platform, row, requester)


async def ask_due(services: Services, platform: PlatformId) -> None:
    """Asks about every number that waits for its answer and is due; safe to run in many workers at once."""
    async with services.db.write(platform) as scope:
        values = {"platform": platform, "now": scope.now, "limit": BATCH_MAX}
        due = await scope.rows(_CLAIM, values)
        for row in due:
            # Committed before anybody is asked: whoever comes meanwhile finds it due later.
            await scope.run(_put_off(platform, row, scope.now))
        requester = await _requester(scope)
    for row in due:
        await _ask(services, platform, row, requester)


async def evidence(scope: Scope, seller_ids: Iterable[UUID]) -> dict[UUID, Row[Any]]:
    """Of each seller the last answer about his present number, or the question that still waits; by seller id, without
    those of whom nobody was asked."""
    rows = await scope.rows(_EVIDENCE, {"platform": scope.platform, "sellers": list(seller_ids)})
    return {row.seller_id: row for row in rows}


async def _ask(services: Services, platform: PlatformId, row: Row[Any], requester: tuple[str, str] | None) -> None:
    asked = office(services)
    if asked is None:
        await _left_to_its_form(services, platform, row)
        return
    number = without_prefix(row.country, row.number)
    try:
        answer = await asked.ask(prefix=vat_prefix(row.country), number=number, requester=requester)
    except VatOfficeUnavailable as error:
        log.warning("VAT number not checked", seller=str(row.seller_id), error=error.reason)
        async with services.db.write(platform) as scope:
            await scope.run(_changed(platform, row).values(failure=error.reason, attempts=row.attempts + 1))
        return
    await _record(services, platform, row, answer)


async def _record(services: Services, platform: PlatformId, row: Row[Any], answer: VatAnswer) -> None:
    status = VatStatus.VALID if answer.valid else VatStatus.INVALID
    async with services.db.write(platform) as scope:
        answered = _changed(platform, row).values(
            status=status,
            answered_at=scope.now,
            consultation=answer.consultation,
            holder=answer.holder,
            answer=answer.raw,
            attempts=row.attempts + 1,
            next_attempt_at=None,
            failure=None,
        )
        if await scope.first(answered.returning(vat_check.c.id)) is not None:
            await _stands(scope, row, status=status, valid=answer.valid)


async def _left_to_its_form(services: Services, platform: PlatformId, row: Row[Any]) -> None:
    """The register is not to be asked any more."""
    async with services.db.write(platform) as scope:
        left = _changed(platform, row).values(
            status=VatStatus.UNCHECKED, next_attempt_at=None, failure="the register is not asked any more"
        )
        if await scope.first(left.returning(vat_check.c.id)) is not None:
            await _stands(scope, row, status=VatStatus.UNCHECKED, valid=True)


async def _stands(scope: WriteScope, row: Row[Any], *, status: VatStatus, valid: bool) -> None:
    """Tells the seller, unless he has another number meanwhile."""
    await scope.run(
        update(seller)
        .where(
            seller.c.platform_id == scope.platform,
            seller.c.id == row.seller_id,
            seller.c.vat_number == row.number,
            seller.c.vat_status == VatStatus.PENDING,
        )
        .values(
            vat_status=status,
            vat_number_valid=valid,
            vat_checked_at=None if status is VatStatus.UNCHECKED else scope.now,
            updated_at=scope.now,
            version=seller.c.version + 1,
        )
    )


def _changed(platform: PlatformId, row: Row[Any]) -> Any:
    """An update of a question that still waits."""
    return update(vat_check).where(
        vat_check.c.platform_id == platform,
        vat_check.c.id == row.id,
        vat_check.c.status == VatStatus.PENDING,
    )


def _put_off(platform: PlatformId, row: Row[Any], now: datetime) -> Any:
    waits = min(ASKED_AGAIN * 2 ** min(row.attempts, 16), ASKED_AGAIN_MAX)
    return _changed(platform, row).values(next_attempt_at=now + waits)


async def _requester(scope: Scope) -> tuple[str, str] | None:
    """The platform's own number, which the register gives a receipt for, where it is one of the Union."""
    row = await scope.one(
        select(platform_table.c.country, platform_table.c.vat_number).where(
            platform_table.c.platform_id == bindparam("platform")
        ),
        {"platform": scope.platform},
    )
    country = _registered_in(row.country, row.vat_number) if row.vat_number else None
    return None if country is None else (vat_prefix(country), without_prefix(country, row.vat_number))


def _registered_in(country: str, number: str) -> str | None:
    """The country whose part of the register a number is in: a member state, or Northern Ireland."""
    if country in EU_MEMBERS:
        return country
    return _NORTHERN_IRELAND if country == "GB" and number.upper().lstrip().startswith(_NORTHERN_IRELAND) else None
