"""Sellers whose account at the provider may be below zero: nothing is transferred into such an account, where it would
only fill the hole and come back as the next debt."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, text

from marketbill.db import WriteScope
from marketbill.provider.port import Failure, Provider, Refused

#: Our own code, for the retry table.
ACCOUNT_NEGATIVE = "account_negative"
# Who never owed anything, and from whom nothing was ever taken back, is not asked about.
_DOUBTFUL = text(
    """
    select s.id from unnest(cast(:sellers as uuid[])) as s (id)
    where exists (select from debt d where d.platform_id = :platform and d.seller_id = s.id)
      or exists (select from reversal r where r.platform_id = :platform and r.seller_id = s.id)
    """
).bindparams(bindparam("sellers", type_=ARRAY(Uuid)))


async def doubtful(scope: WriteScope, sellers: Collection[UUID]) -> set[UUID]:
    """Those of these sellers whose balance at the provider is asked for before anything is transferred to them."""
    if not sellers:
        return set()
    values = {"platform": scope.platform, "sellers": sorted(set(sellers))}
    return {row.id for row in await scope.rows(_DOUBTFUL, values)}


async def check(provider: Provider, account: str, currency: str) -> None:
    """Raises Refused, before anything is sent, where the account is below zero in the currency."""
    held = sum(one.available + one.pending for one in await provider.balances(account) if one.currency == currency)
    if held < 0:
        raise Refused(
            Failure(
                None, ACCOUNT_NEGATIVE, "The seller's account at the provider is below zero: nothing is added to it."
            )
        )
