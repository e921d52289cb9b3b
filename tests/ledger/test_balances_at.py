"""Balances at an instant stay right when entries arrive out of the order of their effective times."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id
from marketbill.ledger import chart
from marketbill.ledger.accounts import accounts
from marketbill.ledger.balances import Cut, balance_at, balances_at, watermark
from marketbill.ledger.journal import JournalEntry, Posting, Source, post_all
from marketbill.ledger.movements import movements
from marketbill.ledger.proof import check

DAY_ONE = datetime(2026, 1, 1, tzinfo=UTC)
REFS = [
    chart.psp_pending("EUR"),
    chart.psp_available("EUR"),
    chart.bank("EUR"),
    chart.platform_fee("EUR"),
    chart.psp_fee("EUR"),
    chart.account(chart.FX_POSITION, "EUR"),
]

MOVES = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.lists(
            st.tuples(st.integers(0, len(REFS) - 1), st.integers(1, len(REFS) - 1), st.integers(1, 1000)),
            min_size=1,
            max_size=4,
        ),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES, parts=st.integers(1, 4))
async def test_any_arrival_order_gives_the_balances_of_the_effective_order(
    db: Database, moves: list[tuple[int, list[tuple[int, int, int]]]], parts: int
) -> None:
    platform = PlatformId(new_id())
    entries = [
        JournalEntry(
            key=str(number),
            kind="manual",
            source=Source("correction", new_id()),
            postings=tuple(
                Posting(REFS[debit], REFS[(debit + step) % len(REFS)], amount) for debit, step, amount in legs
            ),
            effective_at=DAY_ONE + timedelta(days=day),
            description="",
            reason={},
        )
        for number, (day, legs) in enumerate(moves)
    ]
    for part in range(parts):
        async with db.write(platform) as scope:
            await post_all(scope, entries[part::parts])

    def expected(last_day: int) -> dict[str, int]:
        net: dict[str, int] = {}
        for day, legs in moves:
            if day <= last_day:
                for debit, step, amount in legs:
                    for ref, sign in ((REFS[debit], amount), (REFS[(debit + step) % len(REFS)], -amount)):
                        net[ref.code] = net.get(ref.code, 0) + (sign if ref.side == "DEBIT" else -sign)
        return net

    async with db.read(platform) as scope:
        assert await check(scope) == []
        opened = {account.id: account for account in await accounts(scope)}
        for day in range(-1, 10):
            told = await balance_at(scope, list(opened), DAY_ONE + timedelta(days=day))
            assert {opened[id].code: balance for id, balance in told.items() if balance} == {
                code: balance for code, balance in expected(day).items() if balance
            }
        for id, page in (await movements(scope, list(opened), limit=7)).items():
            seen, last = page, page
            while last:
                last = (await movements(scope, [id], before=seen[-1].place, limit=7))[id]
                seen = [*seen, *last]
            assert seen[0].balance_after == opened[id].balance
            assert seen[-1].balance_after == seen[-1].amount
            assert [m.place.at for m in seen] == sorted((m.place.at for m in seen), reverse=True)


async def test_a_watermark_keeps_later_recordings_out(db: Database, platform: PlatformId) -> None:
    psp, bank = chart.psp_available("EUR"), chart.bank("EUR")

    def entry(key: str, day: int, amount: int) -> JournalEntry:
        at = DAY_ONE + timedelta(days=day)
        return JournalEntry(key, "float", Source("topup", new_id()), (Posting(psp, bank, amount),), at, "", {})

    async with db.write(platform) as scope:
        await post_all(scope, [entry("a", 5, 100)])
    async with db.read(platform) as scope:
        mark = await watermark(scope)
    async with db.write(platform) as scope:
        await post_all(scope, [entry("b", 1, 10), entry("c", 6, 1)])
    async with db.read(platform) as scope:
        account = next(account.id for account in await accounts(scope) if account.code == psp.code)
        far, early = Cut(DAY_ONE + timedelta(days=30)), Cut(DAY_ONE + timedelta(days=2))
        assert (await balances_at(scope, [account], far, known=mark))[account] == 100
        assert (await balances_at(scope, [account], far))[account] == 111
        assert (await balances_at(scope, [account], early, known=mark))[account] == 0
        assert (await balances_at(scope, [account], early))[account] == 10
