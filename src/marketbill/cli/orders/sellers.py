"""The sellers of a file: made, given their accounts at the provider, and in the sandbox onboarded.

A run that was killed may leave sellers without an account, or with one that nobody completed. Their orders would be
charged and never transferred, so every run looks after the sellers of the whole file, not only after new ones.
"""

from typing import Any, Protocol

from sqlalchemy import ARRAY, Text, bindparam, select

from marketbill.actor import Actor
from marketbill.cli.orders.outcome import Outcome
from marketbill.cli.orders.patience import chunks, each, patiently
from marketbill.cli.orders.progress import Steps
from marketbill.errors import ProviderRefused, ProviderUnavailable
from marketbill.ids import PlatformId, public_id
from marketbill.sellers import onboarding
from marketbill.sellers import seller as sellers
from marketbill.sellers.model import seller
from marketbill.sellers.seller import SellerDraft
from marketbill.services import Services

SELLERS_AT_ONCE = 8

_SELLERS = select(seller).where(
    seller.c.platform_id == bindparam("platform"), seller.c.external_ref == bindparam("names", type_=ARRAY(Text)).any_()
)


class Onboarding(Protocol):
    """Completes a seller's onboarding where that can be done without him: in the sandbox."""

    async def complete(self, account: str) -> None: ...


class FileSellers:
    """The sellers that a file names; `ids` holds their public ids by the file's own names."""

    def __init__(
        self,
        services: Services,
        actor: Actor,
        platform: PlatformId,
        outcome: Outcome,
        *,
        country: str,
        progress: Steps,
        onboarding: Onboarding | None,
    ) -> None:
        self._services = services
        self._actor = actor
        self._platform = platform
        self._outcome = outcome
        self._country = country
        self._progress = progress
        self._onboarding = onboarding
        self._incomplete: list[Any] = []
        self.ids: dict[str, str] = {}

    async def make(self, wanted: set[str]) -> None:
        """Makes those who are missing, and completes those who cannot receive transfers."""
        for names in chunks(sorted(wanted)):
            for row in await patiently(lambda names=names: self._load(names)):
                self.ids[row.external_ref] = public_id("seller", row.id)
                if row.transfers != "ACTIVE" or not row.payouts_enabled:
                    self._incomplete.append(row)
        missing = sorted(wanted - self.ids.keys())
        self._progress.start("sellers", len(missing))
        await each(missing, self._make, SELLERS_AT_ONCE)
        await self.complete()

    async def complete(self) -> None:
        """Gives an account to whoever has none, and onboards him where that can be done here.

        Whom the provider does not take now stays for the next call; workers try again too.
        """
        rows, self._incomplete = self._incomplete, []
        accounts: list[str] = []

        async def one(row: Any) -> None:
            account = row.provider_account or await self._open_account(row)
            if account is None:
                self._incomplete.append(row)
                return
            await self._onboard(account)
            accounts.append(account)

        await each(rows, one, SELLERS_AT_ONCE)
        for some in chunks(accounts):
            try:
                # The event that told of an earlier completion may be lost: the state is read, and transfers are woken.
                await patiently(lambda some=some: onboarding.refresh(self._services, self._platform, some))
            except (ProviderUnavailable, ProviderRefused):
                continue  # the workers read it again

    async def _load(self, names: list[str]) -> Any:
        async with self._services.db.read(self._platform) as scope:
            return await scope.rows(_SELLERS, {"platform": self._platform, "names": names})

    async def _make(self, name: str) -> None:
        draft = SellerDraft(
            name=f"Seller {name}"[: sellers.NAME_LENGTH_MAX],
            email=f"{_mailbox(name)}@sellers.example",
            country=self._country,
            external_ref=name,
        )
        key = f"import:{public_id('platform', self._platform)}:seller:{name}"
        row = await patiently(lambda: sellers.create(self._services, self._actor, idempotency_key=key, draft=draft))
        self.ids[name] = public_id("seller", row.id)
        self._outcome.sellers_created += 1
        if row.provider_account is None:
            self._incomplete.append(row)
        else:
            await self._onboard(row.provider_account)
        self._progress.step("sellers")

    async def _open_account(self, row: Any) -> str | None:
        try:
            return await patiently(lambda: self._make_account(row))
        except (ProviderUnavailable, ProviderRefused):
            return None

    async def _make_account(self, row: Any) -> str | None:
        async with self._services.db.write(self._platform) as scope:
            # Locked, so that two who come at once use one intent: one account is made.
            this = (seller.c.platform_id == self._platform) & (seller.c.id == row.id)
            locked = await scope.one(select(seller).where(this).with_for_update())
            if locked.provider_account is not None:
                return locked.provider_account
            opening = await onboarding.open_account(self._services, scope, locked)
        if opening is None:
            return None
        return (await onboarding.make_account(self._services, self._platform, opening)).provider_account

    async def _onboard(self, account: str) -> None:
        if self._onboarding is not None:
            await self._onboarding.complete(account)


def _mailbox(name: str) -> str:
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return letters.strip("-")[:60] or "seller"
