"""The sandbox's control plane, as demos and imports use it: what a seller, a buyer's bank or time itself would do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from marketbill.provider.stripe.units import from_stripe
from marketbill.reconciliation.provider import Held

_SECONDS_MAX = 60.0


class SandboxUnreachable(Exception):
    """The sandbox does not answer, or not as asked; the text says what it said."""


class SandboxRefused(SandboxUnreachable):
    """The sandbox answered that what was asked makes no sense; `field` names what was wrong, where it is one thing."""

    def __init__(self, text: str, *, reason: str, field: str | None) -> None:
        super().__init__(text)
        self.reason = reason
        self.field = field


@dataclass(frozen=True, slots=True)
class SandboxTime:
    """The sandbox's time in seconds since 1970, and how far it is ahead of the machine's."""

    now: int
    offset_seconds: int


class SandboxControl:
    """The control plane at one address; use it as an async context manager."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS_MAX))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def create_platform(self, *, name: str, country: str, currency: str) -> str:
        """Opens a platform's account at the provider; gives its secret key."""
        body = {"name": name, "country": country, "default_currency": currency}
        return (await self._ask("POST", "platforms", body))["secret_key"]

    async def top_up(self, account: str, amount: int, currency: str) -> None:
        """The platform with this account moves money of its bank (in the provider's smallest unit) to its balance."""
        await self._ask("POST", f"accounts/{account}/topups", {"amount": amount, "currency": currency.lower()})

    async def price_disputes(self, currency: str, *, received: int, countered: int) -> None:
        """What a dispute costs when it is received, and when it is contested, from now on."""
        body = {"currency": currency.lower(), "received": received, "countered": countered}
        await self._ask("POST", "dispute_fees", body)

    async def dispute(self, charge: str, amount: int) -> None:
        """The card holder disputes an amount (in the provider's smallest unit) of a charge (`ch_…`)."""
        await self._ask("POST", f"charges/{charge}/dispute", {"amount": amount})

    async def decide(self, dispute: str, outcome: str) -> None:
        """The bank decides a dispute (`dp_…`): won or lost."""
        await self._ask("POST", f"disputes/{dispute}/decide", {"outcome": outcome})

    async def complete(self, account: str) -> None:
        """Completes a seller's onboarding."""
        await self._ask("POST", f"accounts/{account}/onboard", {"outcome": "complete"})

    async def authenticate(self, payment: str) -> None:
        """The card holder approves a payment (`pi_…`)."""
        await self._ask("POST", f"payment_intents/{payment}/authenticate", {"outcome": "approve"})

    async def time(self) -> SandboxTime:
        return _time(await self._ask("GET", "clock"))

    async def advance(self, seconds: int) -> SandboxTime:
        """Moves time forward and does everything that falls due on the way."""
        return _time(await self._ask("POST", "clock", {"advance_seconds": seconds}))

    async def holdings(self, accounts: Sequence[str]) -> dict[tuple[str, str], Held]:
        """What it holds for these accounts, by account and currency, in one call."""
        wanted = set(accounts)
        return {
            (row["account"], currency): Held(
                from_stripe(row["pending"], currency), from_stripe(row["available"], currency)
            )
            for row in (await self._ask("GET", "balances"))["balances"]
            if row["account"] in wanted and (currency := row["currency"].upper())
        }

    async def deliveries_pending(self) -> int:
        """How many events still wait to be delivered."""
        return (await self._ask("GET", "state"))["deliveries"]["pending"]

    async def faults(self) -> dict[str, Any]:
        """The faults that are set, the seed of their chances, and how many times each kind has struck."""
        return await self._ask("GET", "faults")

    async def add_fault(self, fault: dict[str, Any]) -> dict[str, Any]:
        """Sets a fault, such as `{"kind": "cut_after", "on": "POST /v1/transfers", "next": 1}`."""
        return await self._ask("POST", "faults", fault)

    async def remove_fault(self, id: str) -> None:
        await self._ask("DELETE", f"faults/{quote(id, safe='')}")

    async def clear_faults(self) -> int:
        """Takes all faults away; gives their number."""
        return len((await self._ask("DELETE", "faults"))["deleted"])

    async def seed_faults(self, seed: int) -> None:
        """Begins the sequence of chances anew."""
        await self._ask("POST", "faults/seed", {"seed": seed})

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if self._session is None:
            raise RuntimeError("use it as an async context manager")
        try:
            async with self._session.request(method, f"{self._url}/_sandbox/{path}", json=body) as response:
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise SandboxUnreachable(f"the sandbox at {self._url} does not answer ({type(error).__name__})") from error
        if response.status != 200:
            error = answer.get("error", {}) if isinstance(answer, dict) else {}
            reason = error.get("message") or str(response.status)
            raise SandboxRefused(f"the sandbox refused {path}: {reason}", reason=reason, field=error.get("param"))
        return answer


def _time(answer: dict[str, Any]) -> SandboxTime:
    return SandboxTime(answer["now"], answer["offset_seconds"])
