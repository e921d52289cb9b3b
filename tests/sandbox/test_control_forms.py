"""The control plane as browsers reach it: forms, and what another site may not send."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from starlette.requests import Request

from marketbill.sandbox.control.forms import check_host
from marketbill.sandbox.wire import ApiError

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_a_form_is_a_body(bench: Any) -> None:
    before = bench.control("clock")["offset_seconds"]
    moved = bench.send("POST", "/_sandbox/clock", "advance_seconds=3600&to=&back=%2F%3Fa%3D1", FORM)
    assert (moved.status, moved.headers["location"]) == (303, "/?a=1")
    assert bench.control("clock")["offset_seconds"] == before + 3600


def test_without_a_way_back_the_answer_is_shown_escaped(bench: Any) -> None:
    made = bench.send("POST", "/_sandbox/platforms", "country=NL&name=%3Cscript%3E", FORM)
    assert made.status == 200
    assert "sk_test_" in made.body
    assert "<script>" not in made.body


def test_a_refused_form_says_why_and_leads_back(bench: Any) -> None:
    seller = bench.seller(outcome=None)
    refused = bench.send("POST", f"/_sandbox/accounts/{seller}/onboard", "outcome=%3Cb%3E&back=%2Fx", FORM)
    assert refused.status == 400
    assert "must be one of complete, restricted, payouts_blocked" in refused.body
    assert "<code>outcome</code>" in refused.body
    assert "href='/x'" in refused.body


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/\\evil.example", "x", "/%0d%0aa:b"])
def test_a_form_leads_back_to_this_sandbox_only(bench: Any, back: str) -> None:
    answer = bench.send("POST", "/_sandbox/clock", f"advance_seconds=1&back={back}", FORM)
    assert answer.status == 400
    assert "evil" not in answer.body


def test_json_with_the_content_type_of_forms_is_json(bench: Any) -> None:
    """As `curl -d` sends it."""
    answer = bench.send("POST", "/_sandbox/clock", '{"advance_seconds": 1}', FORM)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "{base}"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
    ],
)
def test_another_site_controls_nothing(bench: Any, headers: dict[str, str]) -> None:
    sent = {name: value.format(base=bench.base) for name, value in headers.items()}
    before = bench.control("clock")["offset_seconds"]
    for body, kind in (("advance_seconds=60", FORM), ('{"advance_seconds": 60}', {"Content-Type": "text/plain"})):
        answer = bench.send("POST", "/_sandbox/clock", body, {**sent, **kind})
        assert answer.status == 403
        assert "those of another site" in str(answer.body)
    assert bench.control("clock")["offset_seconds"] == before


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin", "Origin": "null"}, {"Sec-Fetch-Site": "none"}, {"Origin": "{base}"}],
)
def test_its_own_pages_and_programs_pass(bench: Any, headers: dict[str, str]) -> None:
    sent = {name: value.format(base=bench.base) for name, value in headers.items()}
    assert bench.send("POST", "/_sandbox/clock", '{"advance_seconds": 1}', sent).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "192.168.0.7", "localhost.evil.example", "[", ""]
)
@pytest.mark.parametrize("path", ["/_sandbox/clock", "/", "/dashboard/payments"])
def test_a_name_that_leads_to_this_machine_is_not_this_machine(bench: Any, host: str, path: str) -> None:
    sent = {"Host": host.format(port=bench.base.rpartition(":")[2]), "Sec-Fetch-Site": "same-origin"}
    answer = bench.send("GET", path, "", sent)
    assert answer.status == 403
    assert "localhost" in str(answer.body)
    moved = bench.send("POST", "/_sandbox/clock", '{"advance_seconds": 60}', sent)
    assert moved.status == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:{port}", "127.0.0.1:{port}", "127.3.2.1", "[::1]:{port}"])
def test_this_machine_has_a_few_names(bench: Any, host: str) -> None:
    sent = {"Host": host.format(port=bench.base.rpartition(":")[2])}
    assert bench.send("GET", "/_sandbox/clock", "", sent).status == 200
    assert bench.send("GET", "/", "", sent).status == 200


@pytest.mark.parametrize(
    ("server", "host", "passes"),
    [
        (("10.0.0.7", 8001), b"sandbox:8001", True),
        (("::1", 8001), b"evil.example", False),
        (("127.0.0.1", 8001), b"evil.example", False),
        (None, b"evil.example", True),
    ],
)
def test_only_by_a_loopback_address_does_the_name_matter(server: Any, host: bytes, passes: bool) -> None:
    request = Request({"type": "http", "server": server, "headers": [(b"host", host)]})
    with nullcontext() if passes else pytest.raises(ApiError):
        check_host(request)
