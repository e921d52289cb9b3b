"""An API that moved: the provider's endpoints follow it, with their secrets and what they still have to deliver."""

from typing import Any

from tests.market.market import Market
from tests.market.serving import address, free_socket, serving

from marketbill.platforms.credentials import renew_webhooks
from marketbill.services import Services


async def endpoints(market: Market) -> dict[str, Any]:
    return {one["id"]: one["url"] for one in (await market.stripe("webhook_endpoints?limit=100"))["data"]}


async def moved(market: Market, url: str) -> None:
    services = Services.create(market.machine.services.settings.model_copy(update={"public_url": url}))
    try:
        assert await renew_webhooks(services, market.platform)
    finally:
        await services.close()


async def test_endpoints_keep_their_secrets_when_the_api_moves(market: Market) -> None:
    await market.seller("A")
    before, secrets = await endpoints(market), await market.machine.endpoint.secrets(market.platform)
    socket = free_socket()
    async with serving(market.machine.endpoint.app(), socket):
        await moved(market, address(socket))

        after = await endpoints(market)
        assert set(after) == set(before)
        assert all(url.startswith(address(socket)) for url in after.values())
        assert await market.machine.endpoint.secrets(market.platform) == secrets
        await market.sale(market.line("A", 5000))
        await market.onboard("A")
        await market.prove()
    assert market.machine.endpoint.refused == []


async def test_an_endpoint_that_is_gone_is_made_again(market: Market) -> None:
    before = await endpoints(market)
    async with market.machine.http.delete(
        f"{market.machine.sandbox_url}/v1/webhook_endpoints/{next(iter(before))}",
        headers={"authorization": f"Bearer {market.secret_key}"},
    ) as answer:
        assert answer.status == 200

    await moved(market, market.machine.services.settings.public_url)

    after = await endpoints(market)
    assert len(after) == 2
    assert set(after).isdisjoint(before)
    await market.seller("A")
    await market.sale(market.line("A", 5000))
    await market.prove()
