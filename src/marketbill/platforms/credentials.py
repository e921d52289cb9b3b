"""A platform's payment provider credentials: encrypted at rest, checked against the provider before they are kept."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import insert

from marketbill.actor import Actor
from marketbill.crypto import Vault
from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput, ProviderNotConnected, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import PlatformId, public_id
from marketbill.platforms.keys import tenant
from marketbill.platforms.model import platform as platform_table
from marketbill.platforms.model import provider_credential
from marketbill.prepared import prepared
from marketbill.provider.objects import PlatformAccount, WebhookSecrets
from marketbill.provider.port import Provider, Refused
from marketbill.services import Services

_SECRET_KEY = prepared(
    select(provider_credential.c.secret_key).where(provider_credential.c.platform_id == bindparam("platform"))
)
_WEBHOOK_CREDENTIALS = select(
    provider_credential.c.webhook_secret,
    provider_credential.c.connect_webhook_secret,
    provider_credential.c.livemode,
).where(provider_credential.c.platform_id == bindparam("platform"))

_KEPT_ACCOUNT = select(provider_credential.c.provider_account, provider_credential.c.livemode).where(
    provider_credential.c.platform_id == bindparam("platform")
)
# The weaker of the row locks: what refers to the platform is written meanwhile.
_LOCK = (
    select(platform_table.c.platform_id)
    .where(platform_table.c.platform_id == bindparam("platform"))
    .with_for_update(key_share=True)
)
# What has a name at the provider's account: payments, sellers, buyers, and what is being asked for.
_IN_USE = text(
    """
    select exists (select from payment where platform_id = :platform)
      or exists (select from seller where platform_id = :platform and provider_account is not null)
      or exists (select from buyer where platform_id = :platform and provider_customer is not null)
      or exists (select from provider_intent where platform_id = :platform and status in ('OPEN', 'UNKNOWN'))
    """
)


async def provider_of(services: Services, scope: Scope) -> Provider:
    """The provider of the scope's platform. Raises ProviderNotConnected."""
    sealed = await scope.scalar(_SECRET_KEY, {"platform": scope.platform})
    if sealed is None:
        raise ProviderNotConnected
    return open_provider(services, scope.platform, sealed)


def open_provider(services: Services, platform: PlatformId, sealed: str) -> Provider:
    """The provider of a platform whose sealed secret key the caller has read."""
    return services.provider(services.vault.decrypt(sealed, context=f"{platform}:provider_credential:secret_key"))


@dataclass(frozen=True, slots=True)
class WebhookCredentials:
    """What a webhook is checked against; the secrets of the platform's own events and of its connected accounts'."""

    secrets: tuple[str, str]
    livemode: bool


async def webhook_credentials(vault: Vault, scope: Scope) -> WebhookCredentials | None:
    """None when the platform is unknown or has not connected its provider."""
    row = await scope.first(_WEBHOOK_CREDENTIALS, {"platform": scope.platform})
    if row is None:
        return None

    def unseal(column: str) -> str:
        return vault.decrypt(getattr(row, column), context=f"{scope.platform}:provider_credential:{column}")

    return WebhookCredentials((unseal("webhook_secret"), unseal("connect_webhook_secret")), row.livemode)


async def provider_connect(
    services: Services, actor: Actor, *, idempotency_key: str, secret_key: str
) -> PlatformAccount:
    """Checks a Stripe secret key, registers our webhook endpoints with it and keeps key and signing secrets encrypted.

    A second call with another key of the same account replaces the first. Raises InvalidInput when the provider does
    not know the key or it belongs to another mode, StateConflict for another account once there is anything at the
    first, ProviderUnavailable when the provider cannot be reached (nothing is kept then).
    """
    platform = tenant(actor)
    body = {"key": services.vault.hash(secret_key).hex()}
    _check_form(services, secret_key)
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="providerConnect", key=idempotency_key, body=body
        )
    if claim.replay is not None:
        return PlatformAccount(**claim.replay)
    async with (
        idempotency.attempt(services.db, claim, platform),
        _one_at_a_time(services, platform) as scope,
    ):
        account = await _register(services, scope, secret_key)
        answer = {
            "id": account.id,
            "country": account.country,
            "default_currency": account.default_currency,
            "livemode": account.livemode,
        }
        await idempotency.finish(scope, claim, answer)
    return account


async def renew_webhooks(services: Services, platform: PlatformId) -> bool:
    """Tells the provider of an API that moved to another PUBLIC_URL; False without credentials.

    Our endpoints are given the new address, so that their secrets and what is still to be delivered stay; only when
    they are not there are new ones registered. Raises ProviderUnavailable, ProviderRefused; what was kept stays then.
    """
    async with _one_at_a_time(services, platform) as scope:
        sealed = await scope.scalar(_SECRET_KEY, {"platform": platform})
        if sealed is None:
            return False
        secret_key = services.vault.decrypt(sealed, context=f"{platform}:provider_credential:secret_key")
        if not await services.provider(secret_key).move_webhook_endpoints(_endpoint(services, platform)):
            await _register(services, scope, secret_key)
    return True


def _check_form(services: Services, secret_key: str) -> None:
    well_formed = secret_key.isascii() and secret_key.replace("_", "").isalnum() and 20 <= len(secret_key) <= 255
    if not well_formed or not secret_key.startswith(("sk_", "rk_")):
        raise InvalidInput(
            "This is not a Stripe secret key: it begins with sk_ or rk_.",
            path=("secretKey",),
            constraint="sk_… or rk_…",
        )
    if services.settings.provider_base_url and secret_key.startswith(("sk_live_", "rk_live_")):
        raise InvalidInput(
            "A live Stripe key must not be given to the sandbox: unset SANDBOX_URL and set STRIPE_SECRET_KEY first.",
            path=("secretKey",),
            constraint="a sandbox key",
        )


@asynccontextmanager
async def _one_at_a_time(services: Services, platform: PlatformId) -> AsyncGenerator[WriteScope]:
    """A transaction that asks the provider and keeps its answer, one after the other.

    Registering replaces the endpoints that are there: of two at once, each would end what the other keeps.
    """
    async with services.db.write(platform) as scope:
        await scope.run(_LOCK, {"platform": platform})
        yield scope


async def _register(services: Services, scope: WriteScope, secret_key: str) -> PlatformAccount:
    provider = services.provider(secret_key)
    try:
        account = await provider.account()
        await _refuse_other_account(scope, account)
        secrets = await provider.create_webhook_endpoints(_endpoint(services, scope.platform))
    except Refused as refusal:
        if refusal.failure.status == 401:
            raise InvalidInput("The provider does not know this secret key.", path=("secretKey",)) from None
        raise
    await _keep(services, scope, secret_key, account, secrets)
    return account


def _endpoint(services: Services, platform: PlatformId) -> str:
    """The address to which the provider delivers a platform's events."""
    return f"{services.settings.public_url.rstrip('/')}/webhooks/stripe/{public_id('platform', platform)}"


async def _refuse_other_account(scope: WriteScope, account: PlatformAccount) -> None:
    """What was begun at one account is looked up there before it is asked for again; another would not know of it."""
    kept = await scope.first(_KEPT_ACCOUNT, {"platform": scope.platform})
    if kept is None or (kept.provider_account, kept.livemode) == (account.id, account.livemode):
        return
    if await scope.scalar(_IN_USE, {"platform": scope.platform}):
        raise StateConflict(
            f"This platform has payments or sellers at the provider's account {kept.provider_account}: "
            f"give a key of that account, not of {account.id}.",
            current_state=kept.provider_account,
            path=("secretKey",),
        )


async def _keep(
    services: Services, scope: WriteScope, secret_key: str, account: PlatformAccount, secrets: WebhookSecrets
) -> None:
    def seal(column: str, text: str) -> str:
        return services.vault.encrypt(text, context=f"{scope.platform}:provider_credential:{column}")

    values = {
        "secret_key": seal("secret_key", secret_key),
        "secret_key_hint": secret_key[-4:],
        "webhook_secret": seal("webhook_secret", secrets.platform),
        "connect_webhook_secret": seal("connect_webhook_secret", secrets.connect),
        "provider_account": account.id,
        "livemode": account.livemode,
        "updated_at": scope.now,
    }
    await scope.run(
        insert(provider_credential)
        .values(platform_id=scope.platform, created_at=scope.now, **values)
        .on_conflict_do_update(index_elements=["platform_id"], set_=values)
    )
