"""The rest of the program: health, readiness, the landing page, the explorer, webhooks."""

from __future__ import annotations

import re

import httpx2
import pytest
from pydantic import SecretStr

from marketbill.config import Settings
from marketbill.db import Database
from marketbill.services import Services
from marketbill_graphql.app import create_app

from .market import BOOTSTRAP_KEY, SECRET_KEY, Market


async def test_probes_and_landing(market: Market) -> None:
    assert (await market.http.get("/health")).json() == {"status": "ok"}
    assert (await market.http.get("/ready")).json() == {"status": "ready"}
    assert (await market.http.get("/")).json()["graphql"] == "/graphql"
    page = await market.http.get("/", headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    missing = await market.http.get("/nothing")
    assert missing.status_code == 404
    assert missing.headers["x-request-id"]


@pytest.mark.parametrize("path", ["health", "clock", "state", "faults", "platforms"])
async def test_the_sandboxs_control_plane_is_not_reached_through_the_api(market: Market, path: str) -> None:
    assert (await market.http.get(f"/_sandbox/{path}")).status_code == 404
    assert (await market.http.post(f"/_sandbox/{path}", json={})).status_code == 404


async def test_the_api_is_ready_without_the_view_across_tenants(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Database, "system")
    assert (await market.http.get("/ready")).json() == {"status": "ready"}


async def test_a_dead_database_is_a_clear_answer() -> None:
    settings = Settings(
        database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"),
        marketbill_secret_key=SecretStr(SECRET_KEY),
        marketbill_bootstrap_key=SecretStr(BOOTSTRAP_KEY),
    )
    services = Services.create(settings)
    transport = httpx2.ASGITransport(create_app(services))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        health = await http.get("/health")
        ready = await http.get("/ready")
        key = {"authorization": "Bearer mb_" + "0" * 26 + "_secret"}
        asked = await http.post("/graphql", json={"query": "{ viewer { role } }"}, headers=key)
        hook = await http.post("/webhooks/stripe/plt_" + "0" * 26, content=b"{}")
    await services.close()

    assert health.status_code == 200
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert asked.status_code == 503
    error = asked.json()["errors"][0]["extensions"]
    assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)
    assert hook.status_code == 503


async def test_the_explorer_needs_nothing_from_elsewhere(market: Market) -> None:
    page = await market.http.get("/explorer")
    policy = page.headers["content-security-policy"]

    assert page.status_code == 200
    assert "default-src 'self'" in policy
    assert "script-src" not in policy
    assert "http" not in policy
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) == 6
    for asset in assets:
        assert asset.startswith("/explorer/assets/")
        found = await market.http.get(asset)
        assert found.status_code == 200
        assert found.content
    assert (await market.http.get("/explorer/assets/../__init__.py")).status_code == 404
    assert "<script>" not in page.text


async def test_a_webhook_without_a_good_signature_is_refused(market: Market) -> None:
    path = f"/webhooks/stripe/{market.platform_id}"
    body = b'{"id": "evt_1", "object": "event", "type": "charge.succeeded"}'
    early = await market.http.post(path, content=body)
    await market.connect_provider()
    unsigned = await market.http.post(path, content=body)
    forged = await market.http.post(path, content=body, headers={"stripe-signature": "t=1,v1=00"})
    unknown = await market.http.post("/webhooks/stripe/plt_" + "0" * 26, content=body)
    odd = await market.http.post("/webhooks/stripe/x", content=body)
    large = await market.http.post(path, content=b" " * (1024 * 1024 + 1))
    read = await market.http.get(path)

    assert [answer.status_code for answer in (early, unsigned, forged, unknown, odd, large, read)] == [
        404,
        400,
        400,
        404,
        404,
        413,
        405,
    ]
