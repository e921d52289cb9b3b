"""Faults at the door of the API, each through a real connection: what the caller sees, and what was done."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from typing import Any

import pytest
import stripe

CUSTOMERS = "POST /v1/customers"


def names(bench: Any) -> list[str]:
    """The customers that exist, in the order in which they were made."""
    return [one["name"] for one in reversed(bench.get("/v1/customers?limit=100")["data"])]


def raw(bench: Any, method: str, path: str, form: str = "", key: str | None = None) -> Any:
    """Send a request on a connection of its own and return the response with its body as bytes.

    http.client reports a cut connection as an exception of its own, so nothing is read between the lines.
    """
    connection = http.client.HTTPConnection(bench.base.removeprefix("http://"), timeout=30)
    headers = {"Authorization": f"Bearer {bench.key}", "Content-Type": "application/x-www-form-urlencoded"}
    if key is not None:
        headers["Idempotency-Key"] = key
    try:
        connection.request(method, path, body=form, headers=headers)
        response = connection.getresponse()
        return response.status, dict(response.headers.items()), response.read()
    finally:
        connection.close()


class TestErrors:
    def test_a_500_before_execution_does_nothing_and_leaves_the_key_free(self, bench: Any) -> None:
        bench.fault("error_before", on=CUSTOMERS)
        answer = bench.call("POST", "/v1/customers", "name=a", key="k")
        assert (answer.status, answer.body["error"]["type"]) == (500, "api_error")
        assert answer.headers["request-id"].startswith("req_")
        assert names(bench) == []
        again = bench.call("POST", "/v1/customers", "name=a", key="k")
        assert (again.status, "idempotent-replayed" in again.headers) == (200, False)
        assert names(bench) == ["a"]

    def test_a_500_after_execution_is_what_the_key_keeps(self, bench: Any) -> None:
        seller = bench.seller()
        bench.pay(10_000)
        bench.fault("error_after", on="POST /v1/transfers")
        form = f"amount=400&currency=usd&destination={seller}&transfer_group=G"
        first = bench.call("POST", "/v1/transfers", form, key="k")
        again = bench.call("POST", "/v1/transfers", form, key="k")
        assert (first.status, again.status) == (500, 500)
        assert [one.headers["stripe-should-retry"] for one in (first, again)] == ["false", "false"]
        assert again.body == first.body
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["original-request"] == first.headers["request-id"]
        # Only a look-up tells that the money went, once.
        [transfer] = bench.get("/v1/transfers?transfer_group=G")["data"]
        assert bench.balance("usd", seller) == (400, 0)
        assert bench.events("transfer.created")[0]["data"]["object"]["id"] == transfer["id"]
        assert bench.events("transfer.created")[0]["request"]["id"] == first.headers["request-id"]

    def test_a_500_in_place_of_a_replay_leaves_the_kept_answer(self, bench: Any) -> None:
        made = bench.post("/v1/customers", "name=a", key="k")
        bench.fault("error_after", on=CUSTOMERS)
        lost = bench.call("POST", "/v1/customers", "name=a", key="k")
        assert (lost.status, "idempotent-replayed" in lost.headers) == (500, False)
        assert bench.post("/v1/customers", "name=a", key="k") == made

    def test_a_500_in_place_of_a_refusal_keeps_nothing_for_a_request_that_was_not_executed(self, bench: Any) -> None:
        bench.fault("error_after", on="POST /v1/transfers")
        assert bench.call("POST", "/v1/transfers", "amount=1", key="k").status == 500
        assert bench.refusal("/v1/transfers", "amount=1", key="k")["code"] == "parameter_missing"

    def test_a_late_execution_comes_after_a_look_up_that_found_nothing(self, bench: Any) -> None:
        seller = bench.seller()
        bench.pay(10_000)
        bench.fault("error_late", on="POST /v1/transfers", seconds=600)
        form = f"amount=400&currency=usd&destination={seller}&transfer_group=G"
        first = bench.call("POST", "/v1/transfers", form, key="k")
        bench.advance(minutes=9)
        again = bench.call("POST", "/v1/transfers", form, key="k")
        assert (first.status, again.status, again.headers["idempotent-replayed"]) == (500, 500, "true")
        assert [one.headers["stripe-should-retry"] for one in (first, again)] == ["false", "false"]
        assert bench.get("/v1/transfers?transfer_group=G")["data"] == []
        bench.advance(minutes=2)
        assert len(bench.get("/v1/transfers?transfer_group=G")["data"]) == 1
        assert len(bench.events("transfer.created")) == 1
        assert bench.call("POST", "/v1/transfers", form, key="k").status == 500
        assert bench.balance("usd", seller) == (400, 0)

    def test_a_late_execution_comes_by_itself(self, bench: Any, soon: Any) -> None:
        bench.fault("error_late", on=CUSTOMERS, seconds=0.05)
        assert bench.call("POST", "/v1/customers", "name=a").status == 500
        soon(lambda: names(bench) == ["a"])

    def test_what_would_not_be_executed_is_not_executed_late(self, bench: Any) -> None:
        made = bench.post("/v1/customers", "name=a", key="k")
        bench.fault("error_late", next=3)
        assert bench.call("POST", "/v1/customers", "name=a", key="k").status == 500
        assert bench.call("GET", "/v1/customers").status == 500
        assert bench.refusal("/v1/transfers", "amount=1")["code"] == "parameter_missing"
        bench.advance(hours=1)
        assert bench.post("/v1/customers", "name=a", key="k") == made
        assert names(bench) == ["a"]

    def test_a_500_is_also_a_500_for_a_read(self, bench: Any) -> None:
        bench.fault("error_after", on="GET /v1/balance")
        assert bench.call("GET", "/v1/balance").status == 500
        assert bench.call("GET", "/v1/balance").status == 200


class TestConnection:
    @pytest.mark.parametrize(("kind", "done"), [("cut_before", []), ("cut_after", ["a"])])
    def test_a_cut_connection_gives_no_answer_at_all(self, bench: Any, kind: str, done: list[str]) -> None:
        bench.fault(kind, on=CUSTOMERS)
        with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
            raw(bench, "POST", "/v1/customers", "name=a", key="k")
        assert names(bench) == done
        again = bench.call("POST", "/v1/customers", "name=a", key="k")
        assert again.status == 200
        assert ("idempotent-replayed" in again.headers) == bool(done)
        assert names(bench) == ["a"]

    def test_not_a_byte_comes_back(self, bench: Any) -> None:
        bench.fault("cut_after", on="GET /v1/balance")
        host, port = bench.base.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as line:
            line.sendall(f"GET /v1/balance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bench.key}\r\n\r\n".encode())
            try:
                received = line.recv(1)
            except ConnectionResetError:
                received = b""
        assert received == b""

    def test_stripes_client_repeats_with_the_same_key(self, bench: Any) -> None:
        bench.fault("cut_after", on=CUSTOMERS)
        client = stripe.StripeClient(bench.key, base_addresses={"api": bench.base}, max_network_retries=1)
        made = client.v1.customers.create({"name": "a"})
        assert names(bench) == ["a"]
        assert bench.get(f"/v1/customers/{made.id}")["name"] == "a"

    def test_stripes_client_that_does_not_repeat_knows_nothing(self, bench: Any) -> None:
        bench.fault("cut_after", on=CUSTOMERS)
        with pytest.raises(stripe.APIConnectionError):
            bench.client().v1.customers.create({"name": "a"})
        assert names(bench) == ["a"]


class TestBodies:
    def test_a_malformed_answer_is_no_json_though_it_says_so(self, bench: Any) -> None:
        bench.fault("malformed", on=CUSTOMERS)
        status, headers, body = raw(bench, "POST", "/v1/customers", "name=a", key="k")
        assert (status, headers["content-type"]) == (200, "application/json")
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
        again = bench.call("POST", "/v1/customers", "name=a", key="k")
        assert (again.status, again.headers["idempotent-replayed"], names(bench)) == (200, "true", ["a"])

    def test_an_answer_without_its_fields(self, bench: Any) -> None:
        bench.fault("missing_fields", next=2)
        assert bench.call("POST", "/v1/customers", "name=a", key="k").body == {"object": "customer"}
        assert bench.call("POST", "/v1/customers", "name=", key="k").body == {"error": {}}
        assert bench.post("/v1/customers", "name=a", key="k")["name"] == "a"

    def test_stripes_client_says_that_it_cannot_read_it(self, bench: Any) -> None:
        bench.fault("malformed", on=CUSTOMERS)
        with pytest.raises(stripe.APIError, match="Invalid response body"):
            bench.client().v1.customers.create({"name": "a"})
        assert names(bench) == ["a"]


class TestSlow:
    def test_others_are_served_meanwhile_and_its_key_is_in_use(self, bench: Any, soon: Any) -> None:
        bench.fault("slow", on=CUSTOMERS, seconds=600)
        slow = threading.Thread(target=lambda: _quietly(bench), daemon=True)
        slow.start()
        soon(lambda: names(bench) == ["a"])
        same = bench.call("POST", "/v1/customers", "name=a", key="k")
        assert (same.status, same.body["error"]["code"]) == (409, "idempotency_key_in_use")
        assert same.headers["stripe-should-retry"] == "true"
        assert bench.post("/v1/customers", "name=b", key="other")["name"] == "b"
        assert slow.is_alive()

    def test_the_answer_comes_in_the_end_and_frees_the_key(self, bench: Any) -> None:
        bench.fault("slow", on=CUSTOMERS, seconds=0.05)
        first = bench.call("POST", "/v1/customers", "name=a", key="k")
        again = bench.call("POST", "/v1/customers", "name=a", key="k")
        assert (first.status, again.body) == (200, first.body)
        assert again.headers["idempotent-replayed"] == "true"

    def test_a_caller_who_gave_up_finds_it_done(self, bench: Any, soon: Any) -> None:
        bench.fault("slow", on=CUSTOMERS, seconds=600)
        client = stripe.StripeClient(
            bench.key,
            base_addresses={"api": bench.base},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=0.3),
        )
        with pytest.raises(stripe.APIConnectionError):
            client.v1.customers.create({"name": "a"})
        soon(lambda: names(bench) == ["a"])


def _quietly(bench: Any) -> None:
    """The slow caller; the server's end takes its connection."""
    try:
        raw(bench, "POST", "/v1/customers", "name=a", key="k")
    except (OSError, http.client.HTTPException):
        return


class TestRefusals:
    def test_in_flight(self, bench: Any) -> None:
        bench.fault("in_flight")
        # Only a request with a key can meet it; the fault waits for one.
        assert bench.call("GET", "/v1/balance").status == 200
        assert bench.call("POST", "/v1/customers", "name=free").status == 200
        answer = bench.call("POST", "/v1/customers", "name=a", key="k")
        assert (answer.status, answer.body["error"]["code"]) == (409, "idempotency_key_in_use")
        assert answer.body["error"]["message"].endswith(": k. Please try again later.")
        assert bench.post("/v1/customers", "name=a", key="k")["name"] == "a"
        assert names(bench) == ["free", "a"]

    @pytest.mark.parametrize("reason", [None, "endpoint-rate", "global-concurrency", "resource-specific"])
    def test_rate_limits(self, bench: Any, reason: str | None) -> None:
        bench.fault("rate_limit", **({"reason": reason} if reason else {}))
        answer = bench.call("POST", "/v1/customers", "name=a", key="k")
        assert (answer.status, answer.body["error"]["code"]) == (429, "rate_limit")
        assert answer.headers["stripe-rate-limited-reason"] == (reason or "global-rate")
        assert answer.headers["stripe-should-retry"] == "false"
        assert "retry-after" not in answer.headers
        assert bench.post("/v1/customers", "name=a", key="k")["name"] == "a"
        assert names(bench) == ["a"]

    @pytest.mark.parametrize("kind", ["error_before", "error_after", "in_flight", "rate_limit", "lock_timeout"])
    def test_a_refusal_has_the_headers_of_every_answer(self, bench: Any, kind: str) -> None:
        bench.fault(kind)
        headers = bench.call("POST", "/v1/customers", "name=a", key="k").headers
        assert headers["idempotency-key"] == "k"
        assert headers["original-request"] == headers["request-id"]
        assert headers["stripe-version"] == "2026-10-28.endive"
        assert headers["stripe-should-retry"] == ("true" if kind in ("in_flight", "lock_timeout") else "false")

    def test_a_429_comes_before_keys_are_looked_at(self, bench: Any) -> None:
        bench.post("/v1/customers", "name=a", key="k")
        bench.fault("rate_limit")
        assert bench.call("POST", "/v1/customers", "name=a", key="k").status == 429
        with pytest.raises(stripe.RateLimitError):
            bench.fault("rate_limit")
            bench.client().v1.customers.create({"name": "b"})

    def test_lock_timeout(self, bench: Any) -> None:
        bench.fault("lock_timeout", next=2)
        for _ in range(2):
            answer = bench.call("POST", "/v1/customers", "name=a", key="k")
            assert (answer.status, answer.body["error"]["code"]) == (429, "lock_timeout")
            assert answer.headers["stripe-should-retry"] == "true"
            assert "stripe-rate-limited-reason" not in answer.headers
        assert bench.post("/v1/customers", "name=a", key="k")["name"] == "a"

    def test_stripes_client_repeats_after_a_lock_timeout(self, bench: Any) -> None:
        bench.fault("lock_timeout")
        client = stripe.StripeClient(bench.key, base_addresses={"api": bench.base}, max_network_retries=1)
        assert client.v1.customers.create({"name": "a"}).name == "a"
        assert names(bench) == ["a"]
