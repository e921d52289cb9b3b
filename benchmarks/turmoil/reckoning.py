"""The reckoning: what the clients know, what our books say and what the provider did are the same, one for one."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from marketbill.embedded.stack import Stack
from marketbill.ids import public_id
from turmoil.traders import Traders, Wish

_PAGE = 100
_PAGES_MAX = 1_000
_NAMED_MAX = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One question of the reckoning: how many things were looked at, and what is wrong with some, in words."""

    question: str
    number: int
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider's own lists, read with the platform's key."""

    url: str
    secret_key: str

    async def every(self, path: str, *, account: str | None = None) -> list[dict[str, Any]]:
        headers = {"authorization": f"Bearer {self.secret_key}"} | ({"stripe-account": account} if account else {})
        found: list[dict[str, Any]] = []
        async with aiohttp.ClientSession(headers=headers) as http:
            for _ in range(_PAGES_MAX):
                query = {"limit": _PAGE} | ({"starting_after": found[-1]["id"]} if found else {})
                async with http.get(f"{self.url}/v1/{path}", params=query) as response:
                    page = await response.json()
                found += page["data"]
                if not page["has_more"]:
                    return found
        raise RuntimeError(f"more than {_PAGE * _PAGES_MAX} {path}")


async def reckon(
    stack: Stack, connection: asyncpg.Connection, traders: Traders, secret_key: str, unanswered: list[Wish]
) -> list[Finding]:
    provider = Provider(stack.sandbox_url or "", secret_key)
    return [
        Finding("client requests with a definite answer", len(traders.wishes), tuple(wish.key for wish in unanswered)),
        *await _sales(connection, traders, provider),
        *await _sellers(connection, traders, provider),
        await _transfers(connection, provider),
        *await _payouts(connection, traders, provider),
        await _customers(connection, traders, provider),
        await _intents(connection),
        _doctor(stack.data),
        _verify(stack.data),
    ]


async def _sales(connection: asyncpg.Connection, traders: Traders, provider: Provider) -> list[Finding]:
    rows = await connection.fetch("select id, reference, status from payment")
    by_reference = {row["reference"]: (public_id("payment", row["id"]), row["status"]) for row in rows}
    wishes = [wish for wish in traders.wishes if wish.operation == "paymentCreate"]
    wrong = [
        f"{name} is there {count} times" for name, count in Counter(r["reference"] for r in rows).items() if count > 1
    ]
    for wish in wishes:
        kept = by_reference.pop(wish.input["reference"], None)
        if wish.answer is not None:
            told = wish.answer["payment"]
            if kept is None or kept[0] != told["id"]:
                wrong.append(f"{wish.key} was promised {told['id']}, the books have {kept}")
            elif told["status"] == "SUCCEEDED" != kept[1]:
                wrong.append(f"{wish.key} was paid and is {kept[1]}")
            elif told["status"] in _NOT_PAID and kept[1] == "SUCCEEDED":
                wrong.append(f"{wish.key} was told {told['status']} and is paid all the same")
        elif wish.refusal is not None and kept is not None and kept[1] == "SUCCEEDED":
            wrong.append(f"{wish.key} was refused ({wish.refusal}) and is paid all the same")
    wrong += [f"nobody asked for {reference}" for reference in by_reference]
    status = {public_id("payment", row["id"]): row["status"] for row in rows}
    wrong += [
        f"{wish.key} was told CANCELED, and {wish.input['id']} is {status.get(wish.input['id'])}"
        for wish in traders.wishes
        if wish.operation == "paymentCancel"
        and wish.answer is not None
        and (wish.answer["payment"] or {}).get("status") == "CANCELED" != status.get(wish.input["id"])
    ]
    open_ones = [f"{public_id('payment', row['id'])} is {row['status']}" for row in rows if row["status"] not in _ENDED]
    charged = Counter(charge["transfer_group"] for charge in await provider.every("charges") if charge["paid"])
    paid = {public_id("payment", row["id"]) for row in rows if row["status"] == "SUCCEEDED"}
    return [
        Finding("sales that their clients know, in the books once", len(wishes), tuple(wrong + open_ones)),
        Finding("paid sales, charged once by the provider", len(paid), tuple(_one_each(charged, paid))),
    ]


_NOT_PAID = ("DECLINED", "FAILED", "CANCELED")
_ENDED = ("SUCCEEDED", *_NOT_PAID)


async def _sellers(connection: asyncpg.Connection, traders: Traders, provider: Provider) -> list[Finding]:
    rows = await connection.fetch("select id, provider_account from seller")
    accounts = Counter(one["metadata"].get("marketbill_seller") for one in await provider.every("accounts"))
    ours = {public_id("seller", row["id"]) for row in rows}
    asked = [wish for wish in traders.wishes if wish.operation == "sellerCreate"]
    return [
        Finding("sellers asked for, made once", len(asked), tuple(_promised(asked, "seller", ours))),
        Finding("sellers with one account at the provider", len(rows), tuple(_one_each(accounts, ours))),
    ]


async def _transfers(connection: asyncpg.Connection, provider: Provider) -> Finding:
    rows = await connection.fetch("select id, status, reason from transfer")
    made = Counter(one["metadata"].get("marketbill_transfer") for one in await provider.every("transfers"))
    ours = {public_id("transfer", row["id"]) for row in rows}
    late = [
        f"{public_id('transfer', row['id'])} is {row['status']}: {row['reason']}"
        for row in rows
        if row["status"] != "SENT"
    ]
    return Finding("transfers, made once by the provider", len(rows), tuple(late + _one_each(made, ours)))


async def _payouts(connection: asyncpg.Connection, traders: Traders, provider: Provider) -> list[Finding]:
    rows = await connection.fetch("select id, status, reason from payout")
    asked = [wish for wish in traders.wishes if wish.operation == "payoutCreate"]
    made: Counter[str | None] = Counter()
    for row in await connection.fetch("select provider_account from seller where provider_account is not null"):
        listed = await provider.every("payouts", account=row["provider_account"])
        made.update(one["metadata"].get("marketbill_payout") for one in listed)
    paid = {public_id("payout", row["id"]) for row in rows if row["status"] == "PAID"}
    late = [
        f"{public_id('payout', row['id'])} is {row['status']}: {row['reason']}"
        for row in rows
        if row["status"] != "PAID"
    ]
    return [
        Finding(
            "payouts asked for, made once",
            len(asked),
            tuple(_promised(asked, "payout", {public_id("payout", row["id"]) for row in rows})),
        ),
        Finding("payouts, paid once by the provider", len(rows), tuple(late + _one_each(made, paid))),
    ]


async def _customers(connection: asyncpg.Connection, traders: Traders, provider: Provider) -> Finding:
    """A customer moves no money and its buyer waits, so a server error is followed by a new key at once: when the
    first is completed late, there is a second customer that nobody uses. The one that we use must be the buyer's."""
    rows = await connection.fetch("select id, provider_customer from buyer")
    asked = [wish for wish in traders.wishes if wish.operation == "buyerCreate"]
    made = {one["id"]: one["metadata"].get("marketbill_buyer") for one in await provider.every("customers")}
    ours = {public_id("buyer", row["id"]) for row in rows}
    wrong = _promised(asked, "buyer", ours)
    wrong += [f"{customer} is for {name}, whom nobody asked for" for customer, name in made.items() if name not in ours]
    for row in rows:
        name, customer = public_id("buyer", row["id"]), row["provider_customer"]
        if customer is not None and made.get(customer) != name:
            wrong.append(f"{name} has {customer}, which is for {made.get(customer)}")
    return Finding("buyers, each with his own customer", len(rows), tuple(wrong))


_INTENTS = """
select kind, status, count(*) as number, min(last_error::text) as why from provider_intent group by kind, status
"""


async def _intents(connection: asyncpg.Connection) -> Finding:
    rows = await connection.fetch(_INTENTS)
    wrong = [
        f"{row['number']} of {row['kind']} are {row['status']}: {row['why']}"
        for row in rows
        if row["status"] in ("OPEN", "UNKNOWN", "GAVE_UP", "ABANDONED")
    ]
    return Finding("requests to the provider that have ended", sum(row["number"] for row in rows), tuple(wrong))


def _doctor(data: Path) -> Finding:
    done = _command("doctor", "--json", "--data", str(data))
    try:
        found = json.loads(done.stdout)["findings"]
    except ValueError:
        return Finding("marketbill doctor finds nothing", 1, (done.stdout + done.stderr,))
    return Finding("marketbill doctor finds nothing", 1, tuple(json.dumps(one) for one in found))


def _verify(data: Path) -> Finding:
    done = _command("verify", "--data", str(data))
    return Finding(
        "marketbill verify agrees to the cent", 1, () if done.returncode == 0 else (done.stdout + done.stderr,)
    )


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "marketbill", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def _promised(asked: Iterable[Wish], kind: str, ours: set[str]) -> list[str]:
    """What was promised and is not there, twice, or there without anybody's asking."""
    promised = Counter(wish.answer[kind]["id"] for wish in asked if wish.answer is not None and wish.answer.get(kind))
    return _one_each(promised, ours)


def _one_each(found: Counter[Any], wanted: set[str]) -> list[str]:
    wrong = [f"{name} is there {count} times" for name, count in found.items() if count > 1]
    wrong += [f"{name} is there and should not be" for name in found if name not in wanted]
    return wrong + [f"{name} is missing" for name in wanted if name not in found]


def short(wrong: tuple[str, ...]) -> str:
    """The first few, for a table."""
    more = f"; and {len(wrong) - _NAMED_MAX} more" if len(wrong) > _NAMED_MAX else ""
    return "; ".join(wrong[:_NAMED_MAX]) + more
