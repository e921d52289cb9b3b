"""A platform is opened with the bootstrap key; its keys, fee rule and provider are set up by its operator."""

from __future__ import annotations

from .market import BOOTSTRAP_KEY, FEE_DOCUMENT, FEE_RULE, PLATFORM, Caller, Market


async def test_a_platform_is_opened_once_for_an_idempotency_key(market: Market) -> None:
    bootstrap = market.caller(BOOTSTRAP_KEY)
    fields = "platform { id name country defaultCurrency feeTaxRate holdFrom holdDays version } operatorKey"
    first = await bootstrap.do("platformCreate", fields, **PLATFORM, idempotencyKey="open-1")
    again = await bootstrap.do("platformCreate", fields, **PLATFORM, idempotencyKey="open-1")
    other = await bootstrap.send("platformCreate", fields, **(PLATFORM | {"name": "Else"}), idempotencyKey="open-1")

    assert again == first
    assert first["platform"]["feeTaxRate"] == "21"
    assert first["platform"]["holdFrom"] == "DELIVERY"
    assert other["platform"] is None
    assert other["errors"][0]["__typename"] == "IdempotencyConflict"
    assert other["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_the_viewer_is_who_asks(market: Market) -> None:
    viewer = await market.operator.ask("{ viewer { role id platform { id name feeSchedule { version document } } } }")
    bootstrap = await market.caller(BOOTSTRAP_KEY).ask("{ viewer { role id } }")

    assert viewer["viewer"]["role"] == "OPERATOR"
    assert viewer["viewer"]["platform"] == {
        "id": market.platform_id,
        "name": "Blue Market",
        "feeSchedule": {"version": 1, "document": FEE_DOCUMENT},
    }
    assert bootstrap["viewer"] == {"role": "BOOTSTRAP", "id": "bootstrap"}


async def test_keys_are_shown_once_and_revoked_at_once(market: Market) -> None:
    made = await market.operator.do("apiKeyCreate", "apiKey { id hint role } secret", name="Shop", role="SERVICE")
    shop = market.caller(made["secret"])
    assert (await shop.ask("{ viewer { role } }"))["viewer"]["role"] == "SERVICE"

    listed = await market.operator.ask("{ apiKeys { id name hint lastUsedAt revokedAt } }")
    assert made["secret"] not in str(listed)
    assert made["secret"].endswith(made["apiKey"]["hint"])
    used = next(key for key in listed["apiKeys"] if key["id"] == made["apiKey"]["id"])
    assert used["lastUsedAt"].endswith("Z")

    revoked = await market.operator.do("apiKeyRevoke", "apiKey { revokedAt }", id=made["apiKey"]["id"])
    assert revoked["apiKey"]["revokedAt"]
    refused = await shop.post("{ viewer { role } }")
    assert refused.status_code == 401
    assert refused.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_only_an_operator_makes_keys(market: Market) -> None:
    made = await market.operator.do("apiKeyCreate", "secret", name="Shop", role="SERVICE")
    answer = await market.caller(made["secret"]).post(
        'mutation { apiKeyCreate(input: {idempotencyKey: "a", name: "x", role: OPERATOR}) { secret } }'
    )

    assert answer.status_code == 403


async def test_the_short_form_of_a_first_schedule_is_checked(market: Market) -> None:
    bootstrap = market.caller(BOOTSTRAP_KEY)
    wrong = await bootstrap.send(
        "platformCreate", "operatorKey", **PLATFORM | {"feeRule": FEE_RULE | {"percent": "101"}}
    )
    fixed = [FEE_RULE["fixed"][0]] * 2  # type: ignore[index]
    twice = await bootstrap.send("platformCreate", "operatorKey", **PLATFORM | {"feeRule": FEE_RULE | {"fixed": fixed}})

    assert wrong["errors"][0]["path"] == ["feeRule", "percent"]
    assert twice["errors"][0]["path"] == ["feeRule", "fixed", "1", "currency"]


async def test_settings_change_by_version(market: Market) -> None:
    changed = await market.operator.do("platformUpdate", "platform { name holdDays version }", holdDays=7)
    stale = await market.operator.send("platformUpdate", "platform { id }", holdDays=8, expectedVersion=1)
    emptied = await market.operator.send("platformUpdate", "platform { id }", holdDays=None)
    wrong = await market.operator.send("platformUpdate", "platform { id }", holdDays=91)

    assert changed["platform"] == {"name": "Blue Market", "holdDays": 7, "version": 2}
    assert stale["errors"][0]["__typename"] == "StateConflict"
    assert emptied["errors"][0]["path"] == ["holdDays"]
    assert wrong["errors"][0]["path"] == ["holdDays"]


async def test_the_provider_is_connected_and_its_key_never_shown(market: Market) -> None:
    before = await market.operator.ask("{ platform { provider { account } } }")
    unknown = await market.operator.send("providerConnect", "provider { account }", secretKey="sk_test_" + "x" * 30)
    account = await market.connect_provider()
    after = await market.operator.ask("{ platform { provider { account livemode secretKeyHint } } }")

    assert before["platform"]["provider"] is None
    assert unknown["errors"][0]["path"] == ["secretKey"]
    assert after["platform"]["provider"]["account"] == account
    assert after["platform"]["provider"]["livemode"] is False
    assert len(after["platform"]["provider"]["secretKeyHint"]) == 4


async def test_another_platforms_ids_are_not_found(market: Market) -> None:
    bootstrap = Caller(market.http, BOOTSTRAP_KEY)
    made = await bootstrap.do("platformCreate", "platform { id } operatorKey", **(PLATFORM | {"name": "Red"}))
    red = market.caller(made["operatorKey"])
    key = (await red.ask("{ apiKeys { id } }"))["apiKeys"][0]["id"]

    node = "query($i: ID!) { node(id: $i) { id } }"
    for id in (made["platform"]["id"], key, "plt_x", "nothing", "", "key_" + "0" * 26):
        assert (await market.operator.ask(node, i=id))["node"] is None
    assert (await red.ask(node, i=key))["node"] == {"id": key}
    revoked = await market.operator.send("apiKeyRevoke", "apiKey { id }", id=key)
    assert revoked["errors"][0]["code"] == "NOT_FOUND"
