"""What sellers were not paid out yet against their accounts: every cent has a thing that it is, and a reason."""

from uuid import UUID

from sqlalchemy import text

from marketbill.db import ReadScope
from marketbill.ids import public_id
from marketbill.insight.whereabouts import Place, Why, whereabouts_of
from marketbill.money import decimal_text
from marketbill.provider.stripe.units import transferable_part
from marketbill.reconciliation.check import Check, broken, holds, warning

#: Sellers that are looked at in one statement.
BATCH_MAX = 200
#: Single differences that are named.
NAMED_MAX = 20
_SELLERS = text("select id from seller where platform_id = :platform and id > :after order by id limit :limit")
_CORRECTED = text(
    """
    select exists (
      select from ledger_account a
      join posting p on p.platform_id = :platform and (p.debit_account_id = a.id or p.credit_account_id = a.id)
      join journal_entry e on e.platform_id = :platform and e.number = p.entry_number
      where a.platform_id = :platform and a.owner_type = 'seller' and a.owner_id = :seller
        and (e.reverses is not null or e.kind = 'adjustment'))
    """
)


async def prove_held(scope: ReadScope) -> list[Check]:
    """The sums by reason are what the sellers' accounts hold. What an operator corrected, and what is too small to be
    transferred in its currency, is told and breaks nothing."""
    found, named = list[Check](), {"platform": scope.platform}
    number, after = 0, UUID(int=0)
    while len(found) < NAMED_MAX:
        ids = [row.id for row in await scope.rows(_SELLERS, {**named, "after": after, "limit": BATCH_MAX})]
        if not ids:
            break
        after, number = ids[-1], number + len(ids)
        for seller, told in (await whereabouts_of(scope, ids)).items():
            for one in told:
                for heap in one.heaps:
                    if heap.why is not Why.BOOKED_OTHERWISE:
                        continue
                    subject = f"{public_id('seller', seller)} {heap.place} {heap.currency}"
                    amount = decimal_text(heap.amount, heap.currency)
                    # Of each share a remainder may stay that the provider cannot transfer, in some currencies.
                    small = heap.place is Place.PAYABLE and not transferable_part(1, heap.currency)
                    if small or await scope.scalar(_CORRECTED, {**named, "seller": seller}):
                        found.append(warning("money booked otherwise", subject, amount))
                    else:
                        found.append(broken("money with a reason", subject, expected="0", found=amount))
    return found[:NAMED_MAX] or ([holds("money with a reason", f"{number} sellers", "all")] if number else [])
