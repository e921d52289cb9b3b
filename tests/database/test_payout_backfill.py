"""Payouts that were made before they had lines get them: the sums are those of the rows that were there."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from tests.conftest import PostgresServer

from marketbill import migrate
from marketbill.embedded.provision import provision
from marketbill.ids import new_id

START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def old_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database as it was before payouts had lines."""
    name = f"test_{uuid.uuid4().hex}"
    url = postgres_server.url(database=name)
    postgres_server.run(provision(server_url=postgres_server.url(), database=name))
    postgres_server.run(migrate.upgrade(url, "0020"))
    yield url
    postgres_server.execute(f"drop database {name} with (force)")


async def old_rows(connection: asyncpg.Connection, table: str, *rows: dict[str, object]) -> None:
    """Written past the foreign keys: what they name is of no account here."""
    await connection.execute("set session_replication_role = replica")
    for row in rows:
        places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
        await connection.execute(f"insert into {table} ({', '.join(row)}) values ({places})", *row.values())
    await connection.execute("set session_replication_role = origin")


def seller(platform: uuid.UUID, id: uuid.UUID) -> dict[str, object]:
    words = {"name": "Old", "email": "old@example.com", "country": "NL", "transfers": "ACTIVE", "requirements": "{}"}
    return {
        "platform_id": platform,
        "id": id,
        "vat_number_valid": False,
        "created_at": START,
        "updated_at": START,
        **words,
    }


def moved(day: int, amount: int, status: str, *, seller: uuid.UUID, platform: uuid.UUID) -> dict[str, object]:
    at = START + timedelta(days=day)
    return {
        "platform_id": platform,
        "id": new_id(),
        "seller_id": seller,
        "currency": "EUR",
        "amount": amount,
        "status": status,
        "intent_id": new_id(),
        "created_at": at,
        "updated_at": at,
    }


async def test_old_payouts_get_lines_that_add_up(old_url: str) -> None:
    """A was sent 100 + 50 + 30 and has 40 pending; 120 were paid, 25 came back, and 60 are on their way. B has 70."""
    platform, a, b = new_id(), new_id(), new_id()

    def transfer(seller: uuid.UUID, day: int, amount: int, status: str = "SENT") -> dict[str, object]:
        row = moved(day, amount, status, seller=seller, platform=platform)
        return {**row, "payment_id": new_id(), "source_charge": "ch_1", "sent_at": row["created_at"]}

    def payout(day: int, amount: int, status: str) -> dict[str, object]:
        return moved(day, amount, status, seller=a, platform=platform)

    transfers = [transfer(a, 0, 100), transfer(a, 1, 50), transfer(a, 5, 30), transfer(b, 1, 70)]
    payouts = [payout(2, 120, "PAID"), payout(3, 25, "FAILED"), payout(6, 60, "IN_TRANSIT")]
    connection = await asyncpg.connect(old_url)
    try:
        await old_rows(connection, "seller", seller(platform, a), seller(platform, b))
        await old_rows(connection, "transfer", *transfers, transfer(a, 6, 40, "PENDING"))
        await old_rows(connection, "payout", *payouts)
        await migrate.upgrade(old_url)

        items = await connection.fetch("select source_id, amount, claimed from payout_item order by created_at, amount")
        assert [tuple(row) for row in items] == [
            (transfers[0]["id"], 100, 100),
            (transfers[1]["id"], 50, 50),
            (transfers[3]["id"], 70, 0),
            (transfers[2]["id"], 30, 30),
        ]
        lines = await connection.fetch(
            "select l.payout_id, i.source_id, l.amount from payout_line l"
            " join payout_item i on i.platform_id = l.platform_id and i.id = l.item_id"
            " join payout p on p.platform_id = l.platform_id and p.id = l.payout_id order by p.created_at, i.created_at"
        )
        assert [tuple(row) for row in lines] == [
            (payouts[0]["id"], transfers[0]["id"], 100),
            (payouts[0]["id"], transfers[1]["id"], 20),
            (payouts[1]["id"], transfers[1]["id"], 25),
            (payouts[2]["id"], transfers[1]["id"], 30),
            (payouts[2]["id"], transfers[2]["id"], 30),
        ]
        off = await connection.fetch(
            "select p.id from payout p left join payout_line l on l.platform_id = p.platform_id and l.payout_id = p.id"
            " group by p.id, p.amount having p.amount <> coalesce(sum(l.amount), 0)"
        )
        assert off == []
    finally:
        await connection.close()
