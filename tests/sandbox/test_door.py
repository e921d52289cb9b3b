"""The API door: keys, versions, unknown things, parameters, idempotency, expansion, the control plane."""

from __future__ import annotations

from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.wire import ApiError, decode_form


class TestDoor:
    def test_a_wrong_key_is_refused_without_showing_it(self, bench: Any) -> None:
        answer = bench.call("GET", "/v1/balance", headers={"Authorization": "Bearer sk_test_0123456789abcdefgh"})
        assert answer.status == 401
        assert "0123456789" not in answer.body["error"]["message"]

    def test_a_key_may_be_the_user_of_basic_authentication(self, bench: Any) -> None:
        """As in `curl -u sk_test_...:`."""

        def status(given: bytes) -> int:
            return bench.call("GET", "/v1/balance", headers={"Authorization": f"Basic {given.decode()}"}).status

        assert status(b64encode(f"{bench.key}:".encode())) == 200
        assert status(b64encode(bench.key.encode())) == 200
        assert status(b64encode(b"sk_test_none:")) == 401
        assert status(b64encode(b":" + bench.key.encode())) == 401
        assert status(b"no base64 at all") == 401

    def test_another_release_is_refused_loudly(self, bench: Any) -> None:
        answer = bench.call("GET", "/v1/balance", headers={"Stripe-Version": "2024-06-20"})
        assert (answer.status, answer.headers.get("stripe-version")) == (400, None)
        assert "2024-06-20" in answer.body["error"]["message"]

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "/v1/nothing"), ("POST", "/v1/balance"), ("DELETE", "/v1/transfers/tr_1"), ("GET", "/v1/transfers/")],
    )
    def test_an_unknown_url(self, bench: Any, method: str, path: str) -> None:
        answer = bench.call(method, path)
        assert answer.status == 404
        assert answer.body["error"]["message"].startswith(f"Unrecognized request URL ({method}: {path})")
        assert answer.headers["request-id"].startswith("req_")

    def test_a_body_that_is_too_long(self, bench: Any) -> None:
        assert bench.call("POST", "/v1/customers", "name=" + "x" * 1_100_000).status == 413

    @pytest.mark.parametrize("body", ["{", "[]", "1", '{"display_name": 5}', '{"bogus": 1}'])
    def test_json_that_is_none(self, bench: Any, body: str) -> None:
        answer = bench.call("POST", "/v2/core/accounts", body)
        assert answer.status == 400
        assert answer.body["error"]["message"]

    def test_without_control_plane_there_is_none(self, serve: Any, new_bench: Any) -> None:
        bench = new_bench(serve(control=False).base)
        for path in ("health", "state", "clock", "balances"):
            assert bench.send("GET", f"/_sandbox/{path}").status == 404
        assert bench.send("POST", "/_sandbox/platforms", '{"country": "US"}').status == 404
        assert bench.send("GET", "/").status == 200

    def test_another_process_cannot_share_the_state(self, serve: Any, tmp_path: Any) -> None:
        from marketbill.sandbox.app import create_app
        from marketbill.sandbox.store import StateInUse

        serve(tmp_path / "state.db")
        with pytest.raises(StateInUse):
            create_app(tmp_path / "state.db", base_url="http://127.0.0.1:1")


class TestParameters:
    @pytest.mark.parametrize(
        ("form", "code", "param"),
        [
            ("amount=100&currency=usd&destination=acct_1&nope=1", "parameter_unknown", "nope"),
            ("amount=100&currency=usd&destination=acct_1&metadata=x", None, "metadata"),
            ("amount=1e3&currency=usd&destination=acct_1", "parameter_invalid_integer", "amount"),
            ("amount=&currency=usd&destination=acct_1", "parameter_invalid_empty", "amount"),
            ("amount=0&currency=usd&destination=acct_1", "parameter_invalid_integer", "amount"),
            ("amount=-5&currency=usd&destination=acct_1", "parameter_invalid_integer", "amount"),
            ("amount=100000000&currency=usd&destination=acct_1", "amount_too_large", "amount"),
            ("amount=" + "9" * 40 + "&currency=usd&destination=acct_1", "parameter_invalid_integer", "amount"),
            ("amount=100&currency=zzz&destination=acct_1", None, "currency"),
            ("amount=100&currency=usd&destination=", "parameter_invalid_empty", "destination"),
            ("amount=100&currency=usd&destination[x]=1", None, "destination"),
            ("amount=100&currency=usd&destination=acct_1&source_type=gold", None, "source_type"),
            ("amount=100&currency=usd&destination=acct_1&expand[]=nothing", None, "expand"),
            ("currency=usd&destination=acct_1", "parameter_missing", "amount"),
        ],
    )
    def test_each_wrong_parameter_is_named(self, bench: Any, form: str, code: str | None, param: str) -> None:
        error = bench.refusal("/v1/transfers", form)
        assert (error.get("code"), error["param"]) == (code, param)

    def test_what_is_not_simulated_is_refused_by_name(self, bench: Any) -> None:
        for name in ("customer_account=cusacct_1", "payment_details[order_reference]=7", "hooks[inputs][tax]=1"):
            error = bench.refusal("/v1/payment_intents", f"amount=100&currency=usd&{name}")
            assert error["param"] == name.partition("=")[0].partition("[")[0]

    def test_metadata_limits(self, bench: Any) -> None:
        for form in (
            "&".join(f"metadata[k{number}]=v" for number in range(51)),
            f"metadata[{'k' * 41}]=v",
            f"metadata[k]={'v' * 501}",
        ):
            assert bench.call("POST", "/v1/customers", form).status == 400
        customer = bench.post("/v1/customers", f"metadata[{'k' * 40}]={'v' * 500}&metadata[b]=1")
        path = f"/v1/customers/{customer['id']}"
        assert bench.post(path, "metadata[b]=")["metadata"] == {"k" * 40: "v" * 500}
        assert bench.post(path, "metadata=")["metadata"] == {}

    def test_form_decoding(self) -> None:
        assert decode_form("a=1&b[c]=2&d[]=x&d[]=y&e[0][f]=%C3%A9+z") == {
            "a": "1",
            "b": {"c": "2"},
            "d": {"0": "x", "1": "y"},
            "e": {"0": {"f": "é z"}},
        }
        for broken in ("a=1&a[b]=2", "x=%ff", "&".join("a=1" for _ in range(2_001))):
            with pytest.raises(ApiError):
                decode_form(broken)

    def test_the_notation(self) -> None:
        read = compile_table("a!:i b:{c:[s] d:(x|y)} e:b when:range")
        assert read({"a": "7", "b": {"c": {"0": "p"}, "d": "y"}, "e": "true", "when": {"gt": "5"}}, "") == {
            "a": 7,
            "b": {"c": ["p"], "d": "y"},
            "e": True,
            "when": {"gt": 5},
        }
        for wrong, param in (
            ({}, "a"),
            ({"a": "1", "b": {"z": "1"}}, "b[z]"),
            ({"a": "1", "b": {"d": "q"}}, "b[d]"),
            ({"a": "1", "e": "yes"}, "e"),
            ({"a": "1", "when": {"near": "1"}}, "when[near]"),
            ({"a": "1", "b": {"c": {"x": "p"}}}, "b[c]"),
        ):
            with pytest.raises(ApiError) as refused:
                read(wrong, "")
            assert refused.value.param == param


class TestExpansion:
    def test_paths_are_checked_before_anything_happens(self, bench: Any) -> None:
        assert bench.call("POST", "/v1/customers", "name=x&expand[]=metadata").status == 400
        assert bench.get("/v1/customers")["data"] == []

    def test_lists_expand_their_data(self, bench: Any) -> None:
        bench.pay(1_000)
        listed = bench.get("/v1/charges?expand[]=data.balance_transaction.source&expand[]=data.payment_intent")["data"][
            0
        ]
        assert listed["balance_transaction"]["source"]["id"] == listed["id"]
        assert listed["payment_intent"]["object"] == "payment_intent"
        for path in ("balance_transaction", "data", "data.amount", "data.a.b.c.d"):
            assert bench.call("GET", f"/v1/charges?expand[]={path}").status == 400


class TestIdempotency:
    def test_parameters_may_come_in_another_order(self, bench: Any) -> None:
        first = bench.call("POST", "/v1/customers", "name=a&email=b@example.com", key="k")
        second = bench.call("POST", "/v1/customers", "email=b%40example.com&name=a", key="k")
        assert second.body == first.body
        assert second.headers["idempotent-replayed"] == "true"
        assert second.headers["original-request"] == first.headers["request-id"]
        assert second.headers["request-id"] != first.headers["request-id"]

    def test_a_key_belongs_to_an_endpoint_and_an_account(self, bench: Any) -> None:
        bench.post("/v1/customers", "name=a", key="k")
        assert bench.refusal("/v1/topups", "amount=100&currency=usd", key="k")["type"] == "idempotency_error"
        seller = bench.seller()
        assert bench.post("/v1/customers", "name=b", key="k", account=seller)["name"] == "b"

    def test_a_refusal_during_execution_is_kept(self, bench: Any) -> None:
        seller = bench.seller()
        form = f"amount=100&currency=usd&destination={seller}"
        first = bench.refusal("/v1/transfers", form, key="k")
        assert first["code"] == "balance_insufficient"
        bench.pay(10_000)
        assert bench.refusal("/v1/transfers", form, key="k") == first
        assert bench.post("/v1/transfers", form, key="k2")["amount"] == 100

    def test_a_key_in_flight_answers_409_and_is_not_burnt(self, bench: Any) -> None:
        held = {"account": bench.platform, "key": "k", "held": True}
        bench.control("in_flight", held)
        answer = bench.call("POST", "/v1/customers", "name=a", key="k")
        assert (answer.status, answer.headers["stripe-should-retry"]) == (409, "true")
        bench.control("in_flight", {**held, "held": False})
        assert bench.post("/v1/customers", "name=a", key="k")["name"] == "a"

    def test_too_long_a_key(self, bench: Any) -> None:
        assert bench.refusal("/v1/customers", "name=a", key="k" * 256)["type"] == "idempotency_error"

    def test_fifty_callers_with_one_key_have_one_effect(self, bench: Any, new_bench: Any) -> None:
        seller = bench.seller()
        bench.pay(100_000)

        def call(number: int) -> Any:
            other = new_bench(bench.base)
            other.key = bench.key
            return other.call("POST", "/v1/transfers", f"amount=100&currency=usd&destination={seller}", key="one").body

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(call, range(50)))
        assert len({answer["id"] for answer in answers}) == 1
        assert bench.balance("usd", seller) == (100, 0)

    def test_a_key_is_forgotten_after_a_day_and_after_30_in_the_second_version(self, bench: Any) -> None:
        first = bench.post("/v1/customers", "name=a", key="k")
        body = {"identity": {"country": "us"}}
        second = bench.call("POST", "/v2/core/accounts", json_body=body, key="v2").body
        bench.advance(hours=23)
        assert bench.post("/v1/customers", "name=a", key="k") == first
        bench.advance(hours=2)
        assert bench.post("/v1/customers", "name=a", key="k")["id"] != first["id"]
        bench.advance(days=28)
        assert bench.call("POST", "/v2/core/accounts", json_body=body, key="v2").body == second
        assert bench.control("state")["idempotency_keys"] == 1
        bench.advance(days=2)
        assert bench.control("state")["idempotency_keys"] == 0
        assert bench.call("POST", "/v2/core/accounts", json_body=body, key="v2").body["id"] != second["id"]

    def test_v2_keys_hold_too(self, bench: Any) -> None:
        body = {"identity": {"country": "us"}}
        answers = [bench.call("POST", "/v2/core/accounts", json_body=body, key="k") for _ in range(2)]
        assert answers[0].body == answers[1].body
        assert len(bench.get("/v2/core/accounts")["data"]) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=80))
def test_no_form_breaks_the_door(bench: Any, body: str) -> None:
    """Whatever is sent is answered in the API's own form, and nothing half-done is left."""
    for path in ("/v1/transfers", "/v1/payment_intents"):
        answer = bench.call("POST", path, body.encode())  # pyright: ignore[reportArgumentType]
        assert answer.status in (400, 413)
        assert answer.body["error"]["type"] == "invalid_request_error"
