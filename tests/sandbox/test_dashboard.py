"""The dashboard: pages over a state that was lived in, hostile names, forms, search, and what is not there."""

from __future__ import annotations

from collections import deque
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote_plus, urlencode, urljoin, urlsplit

import pytest

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}"
CRAWLED_MAX = 400

#: Tags that a page may have: none that runs, frames or fetches anything.
TAGS = {
    "html", "head", "meta", "title", "link", "body", "div", "header", "main", "nav", "footer", "section", "span", "a",
    "form", "input", "button", "select", "option", "datalist", "label", "table", "thead", "tbody", "tr", "th", "td",
    "h1", "h2", "h3", "p", "b", "br", "small", "code", "pre", "dl", "dt", "dd", "time", "details", "summary", "style",
}  # fmt: skip


class Page(HTMLParser):
    """A page as a browser would take it: its tags, attributes, links and forms."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.forms: list[tuple[str, str, dict[str, str]]] = []
        self._select: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.attributes.update(given)
        name = given.get("name", "")
        if tag == "a":
            self.links.append(given["href"])
        elif tag == "form":
            self.forms.append((given.get("method", "get"), given["action"], {}))
        elif tag in ("input", "button") and name:
            self.forms[-1][2][name] = given.get("value", "")
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and self._select not in self.forms[-1][2]:
            self.forms[-1][2][self._select] = given.get("value", "")


def read(bench: Any, path: str, status: int = 200) -> Page:
    answer = bench.send("GET", path)
    assert answer.status == status, (path, answer.status)
    page = Page(answer.body)
    assert page.tags <= TAGS, (path, page.tags - TAGS)
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}, path
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    return page


def live(bench: Any, receiver: Any, name: str) -> dict[str, str]:
    """Have something of everything happen, under a name, and return the ids."""
    made = bench.control("platforms", {"country": "US", "default_currency": "usd", "name": name})
    bench.key, bench.platform = made["secret_key"], made["id"]
    word = quote_plus(name)
    hook = bench.post(
        "/v1/webhook_endpoints", f"url={receiver.base}/own&enabled_events[]=*&description={word}&metadata[a]={word}"
    )
    seller = bench.seller()
    bench.post(f"/v1/accounts/{seller}", f"business_profile[name]={word}&metadata[name]={word}")
    waiting = bench.seller(outcome="restricted")
    customer = bench.post("/v1/customers", f"name={word}&email=buyer@example.com&description={word}")["id"]
    paid = bench.post(
        "/v1/payment_intents",
        f"amount=10000&currency=usd&customer={customer}&payment_method=pm_card_bypassPending&confirm=true"
        f"&allowed_payment_method_types[]=card&capture_method=automatic&description={word}&metadata[order]={word}"
        f"&transfer_group={word}",
        key="order-1",
    )
    bench.call(
        "POST",
        "/v1/payment_intents",
        "amount=500&currency=usd&payment_method=pm_card_chargeDeclined&confirm=true&allowed_payment_method_types[]=card",
    )
    asked = bench.post(
        "/v1/payment_intents",
        "amount=700&currency=usd&payment_method=pm_card_authenticationRequired&confirm=true"
        "&allowed_payment_method_types[]=card&return_url=https://market.example",
    )
    transfer = bench.post(
        "/v1/transfers",
        f"amount=4000&currency=usd&destination={seller}&source_transaction={paid['latest_charge']}"
        f"&metadata[order]={word}&description={word}",
    )
    bench.post(f"/v1/transfers/{transfer['id']}/reversals", f"amount=1000&description={word}&metadata[order]={word}")
    refund = bench.post("/v1/refunds", f"charge={paid['latest_charge']}&amount=1000&metadata[order]={word}")
    payout = bench.post("/v1/payouts", f"amount=1500&currency=usd&description={word}", account=seller)
    return {
        "platform": bench.platform,
        "endpoint": hook["id"],
        "seller": seller,
        "waiting": waiting,
        "customer": customer,
        "payment": paid["id"],
        "charge": paid["latest_charge"],
        "asked": asked["id"],
        "transfer": transfer["id"],
        "refund": refund["id"],
        "payout": payout["id"],
    }


def crawl(bench: Any) -> dict[str, Page]:
    """Follow every link of every page."""
    pages: dict[str, Page] = {}
    waiting = deque(["/"])
    while waiting:
        path = waiting.popleft()
        if path in pages:
            continue
        assert len(pages) < CRAWLED_MAX
        answer = bench.send("GET", path)
        if answer.status == 303:
            waiting.append(answer.headers["location"])
            pages[path] = Page("")
            continue
        pages[path] = read(bench, path)
        waiting.extend(urljoin(path, link) for link in pages[path].links)
    return pages


def test_every_link_leads_to_a_page_and_hostile_names_stay_text(bench: Any, receiver: Any, soon: Any) -> None:
    ids = live(bench, receiver, HOSTILE)
    bench.control("faults", {"kind": "rate_limit", "on": "POST /v1/payouts", "rate": 0.5})
    soon(lambda: bench.control("state")["deliveries"]["pending"] == 0)
    pages = crawl(bench)
    folders = {urlsplit(path).path.split("/")[2] for path in pages if path.startswith("/dashboard/")}
    assert folders == {
        "accounts", "events", "faults", "kinds", "objects", "payments", "payouts", "rates", "transfers", "webhooks",
    }  # fmt: skip
    for identifier in ids.values():
        assert any(path.endswith(identifier) for path in pages), identifier
    text = "".join(page.text for page in pages.values())
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}" in text
    assert bench.key not in text
    assert "whsec_" not in text


def test_every_form_is_taken_by_the_control_plane(bench: Any, receiver: Any) -> None:
    live(bench, receiver, "Anna's pots")
    bench.control("faults", {"kind": "slow", "next": 2})
    forms = {
        (action, tuple(fields.items()))
        for page in crawl(bench).values()
        for method, action, fields in page.forms
        if method == "post"
    }
    assert len(forms) > 20
    for action, fields in sorted(forms, reverse=True):
        assert action.startswith("/_sandbox/")
        answer = bench.send("POST", action, urlencode(fields), {**FORM, "Sec-Fetch-Site": "same-origin"})
        assert answer.status in (200, 303, 400), (action, fields, answer.status)
        assert "unknown parameter" not in str(answer.body), (action, fields, answer.body)


def test_the_pages_of_a_sale_say_what_happened(bench: Any, receiver: Any) -> None:
    ids = live(bench, receiver, "Anna's pots")
    payment = read(bench, f"/dashboard/payments/{ids['payment']}").text
    for expected in (
        "$100.00",
        "$3.20",
        "$96.80",
        "partly refunded",
        "<td>refund",
        ids["charge"],
        ids["transfer"],
        ids["refund"],
    ):
        assert expected in payment
    for event in ("payment_intent.succeeded", "charge.refunded", "transfer.created", "transfer.reversed"):
        assert event in payment
    transfer = read(bench, f"/dashboard/transfers/{ids['transfer']}").text
    for expected in ("$40.00", "$10.00", "<td>payment_refund", "<td>transfer_refund", "Anna&#39;s pots"):
        assert expected in transfer
    seller = read(bench, f"/dashboard/accounts/{ids['seller']}").text
    for expected in ("$15.00", ids["payout"], ids["transfer"], "enabled"):
        assert expected in seller
    waiting = read(bench, f"/dashboard/accounts/{ids['waiting']}").text
    assert "individual.verification.document" in waiting
    assert "requirements.past_due" in waiting
    payout = read(bench, f"/dashboard/payouts/{ids['payout']}").text
    assert "STRIPE TEST BANK" in payout
    assert "-$15.00" in payout
    overview = read(bench, "/").text
    assert "Books balance" in overview
    assert "None is set" in overview


def test_an_event_shows_its_deliveries_and_why_they_failed(bench: Any, receiver: Any, soon: Any) -> None:
    receiver.answers.append(500)
    endpoint = bench.post("/v1/webhook_endpoints", f"url={receiver.base}/own&enabled_events[]=customer.created")["id"]
    bench.post("/v1/webhook_endpoints", "url=http://127.0.0.1:1/nobody&enabled_events[]=customer.created")
    bench.post("/v1/customers", "email=a@example.com", key="k-1")
    event = bench.events("customer.created")[0]["id"]
    soon(lambda: all(entry["attempts"] for entry in bench.control("deliveries")["deliveries"]))
    page = read(bench, f"/dashboard/events/{event}").text
    assert "HTTP 500" in page
    assert "ClientConnectorError" in page
    assert "k-1" in page
    assert event in read(bench, f"/dashboard/webhooks/{endpoint}").text
    assert event in read(bench, "/dashboard/events?type=customer.*&delivery=pending").text
    assert "No event of these" in read(bench, "/dashboard/events?delivery=failed").text


def test_the_seller_is_onboarded_and_the_clock_moved_by_forms(bench: Any) -> None:
    seller = bench.seller(outcome=None)
    place = f"/dashboard/accounts/{seller}"
    form = next(fields for _, action, fields in read(bench, place).forms if action.endswith("/onboard"))
    answer = bench.send(
        "POST", f"/_sandbox/accounts/{seller}/onboard", urlencode({**form, "outcome": "complete"}), FORM
    )
    assert (answer.status, answer.headers["location"]) == (303, place)
    assert bench.get(f"/v1/accounts/{seller}")["payouts_enabled"] is True
    before = bench.control("clock")["now"]
    bench.send("POST", "/_sandbox/clock", "advance_seconds=604800&back=/", FORM)
    assert bench.control("clock")["now"] >= before + 604_800


def test_faults_are_set_and_cleared_by_forms(bench: Any) -> None:
    bench.send("POST", "/_sandbox/faults", "kind=error_before&on=GET+/v1/balance&next=2&rate=&seconds=&back=/", FORM)
    bench.send("POST", "/_sandbox/faults", "kind=webhook_drop&rate=0.25&back=/", FORM)
    page = read(bench, "/dashboard/faults")
    assert "next 2" in page.text
    assert "25 %" in page.text
    assert "GET /v1/balance" in page.text
    assert bench.call("GET", "/v1/balance").status == 500
    assert "struck 1 times" in read(bench, "/").text
    first = next(action for _, action, _ in page.forms if action.endswith("/delete"))
    assert bench.send("POST", first, "back=/dashboard/faults", FORM).status == 303
    assert bench.call("GET", "/v1/balance").status == 200
    assert bench.send("POST", "/_sandbox/faults/delete", "back=/dashboard/faults", FORM).status == 303
    assert bench.control("faults")["faults"] == []
    bench.send("POST", "/_sandbox/limits", "requests_per_second=25&concurrency=none&back=/", FORM)
    assert bench.control("limits")["requests_per_second"] == 25
    assert 'value="25"' in read(bench, "/dashboard/faults").text


def test_an_event_is_sent_again_by_a_form(bench: Any, receiver: Any, soon: Any) -> None:
    endpoint = bench.post("/v1/webhook_endpoints", f"url={receiver.base}/own&enabled_events[]=customer.created")["id"]
    bench.post("/v1/customers", "email=a@example.com")
    event = bench.events("customer.created")[0]["id"]
    soon(lambda: len(receiver.received) == 1)
    page = read(bench, f"/dashboard/events/{event}")
    again = next((action, fields) for method, action, fields in page.forms if action.endswith("/resend"))
    assert bench.send("POST", again[0], urlencode(again[1]), FORM).headers["location"] == f"/dashboard/events/{event}"
    soon(lambda: len(receiver.received) == 2)
    soon(lambda: read(bench, f"/dashboard/events/{event}").text.count("HTTP 200") == 2)
    rolled = bench.send("POST", f"/_sandbox/webhook_endpoints/{endpoint}/roll", "overlap_seconds=3600", FORM)
    assert "whsec_" in rolled.body
    assert "signs too, until" in read(bench, f"/dashboard/webhooks/{endpoint}").text


def test_a_charge_is_disputed_and_decided_by_forms(bench: Any) -> None:
    paid = bench.pay(10_000)
    place = f"/dashboard/payments/{paid['id']}"
    action, fields = next((a, fields) for _, a, fields in read(bench, place).forms if a.endswith("/dispute"))
    assert bench.send("POST", action, urlencode(fields), FORM).headers["location"] == place
    dispute = bench.get(f"/v1/disputes?charge={paid['latest_charge']['id']}")["data"][0]
    assert dispute["id"] in read(bench, place).text
    page = read(bench, f"/dashboard/objects/{dispute['id']}")
    assert "needs response" in page.text
    action = next(action for _, action, _ in page.forms if action.endswith("/decide"))
    bench.send("POST", action, "outcome=won&back=/", FORM)
    decided = read(bench, f"/dashboard/objects/{dispute['id']}")
    assert "dispute_reversal" in decided.text
    assert not [action for _, action, _ in decided.forms if action.endswith("/decide")]


def test_a_payout_fails_after_it_was_paid_by_a_form(bench: Any) -> None:
    bench.pay(10_000)
    seller = bench.seller()
    bench.post("/v1/transfers", f"amount=5000&currency=usd&destination={seller}")
    payout = bench.post("/v1/payouts", "amount=5000&currency=usd", account=seller)["id"]
    place = f"/dashboard/payouts/{payout}"
    assert not [action for _, action, _ in read(bench, place).forms if action.endswith("/fail")]
    bench.advance(days=4)
    action, fields = next((a, fields) for _, a, fields in read(bench, place).forms if a.endswith("/fail"))
    fields["failure_code"] = "account_closed"
    assert bench.send("POST", action, urlencode(fields), FORM).headers["location"] == place
    failed = read(bench, place).text
    assert "account_closed" in failed
    assert "payout_failure" in failed
    assert payout in read(bench, "/dashboard/payouts?status=failed").text
    assert bench.balance("usd", seller) == (5_000, 0)


def test_rates_are_set_by_a_form(bench: Any) -> None:
    page = read(bench, "/dashboard/rates?base=eur")
    fields = next(fields for _, action, fields in page.forms if action == "/_sandbox/exchange_rates")
    bench.send("POST", "/_sandbox/exchange_rates", urlencode({**fields, "rates[usd]": "1.25"}), FORM)
    assert bench.get("/v1/exchange_rates/eur")["rates"]["usd"] == 1.25
    assert "1.25" in read(bench, "/dashboard/rates?base=eur").text
    read(bench, "/dashboard/rates?base=xxx", status=404)


def test_lists_have_pages(bench: Any) -> None:
    made = [bench.post("/v1/customers", f"email={number}@example.com")["id"] for number in range(60)]
    seen: list[str] = []
    path = "/dashboard/kinds/customer"
    pages = 0
    while path:
        page = read(bench, path)
        seen += [link.rsplit("/", 1)[1] for link in page.links if "/objects/cus_" in link]
        path = next((urljoin(path, link) for link in page.links if "older=" in link), "")
        last, pages = page, pages + 1
    assert (seen, pages) == (made[::-1], 3)
    back = next(link for link in last.links if "newer=" in link)
    middle = read(bench, "/dashboard/kinds/customer" + back)
    assert [link.rsplit("/", 1)[1] for link in middle.links if "/objects/cus_" in link] == made[::-1][25:50]


@pytest.mark.parametrize("query", ["older=x", "newer=-1", "older=99999999999999999999", "older=%C2%B2"])
def test_a_place_in_a_list_that_is_none(bench: Any, query: str) -> None:
    assert "must be the position of an entry" in read(bench, f"/dashboard/payments?{query}", status=400).text


def test_search(bench: Any, receiver: Any) -> None:
    ids = live(bench, receiver, "Anna's pots")
    event = bench.events("transfer.created")[0]["id"]
    for identifier in (ids["payment"], ids["customer"], ids["seller"], event):
        answer = bench.send("GET", f"/dashboard/search?q=+{identifier}+")
        assert (answer.status, answer.headers["location"].rsplit("/", 1)[1]) == (303, identifier)
    assert ids["charge"] in read(bench, f"/dashboard/search?q={ids['charge'][:12]}").text
    assert ids["customer"] in read(bench, "/dashboard/search?q=buyer@example.com").text
    assert (
        ids["transfer"] in read(bench, f"/dashboard/search?q={quote_plus(chr(65) + 'nna' + chr(39) + 's pots')}").text
    )
    nothing = read(bench, f"/dashboard/search?q={quote_plus(HOSTILE)}", status=404)
    assert "Nothing is called" in nothing.text


def test_an_onboarding_link_is_found_by_nobody(bench: Any) -> None:
    seller = bench.seller(outcome=None)
    link = bench.post(
        "/v1/account_links",
        f"account={seller}&type=account_onboarding&refresh_url=https://a.example&return_url=https://b.example",
    )
    token = link["url"].rsplit("/", 1)[1]
    read(bench, f"/dashboard/objects/{token}", status=404)
    read(bench, "/dashboard/kinds/account_link", status=404)
    assert token not in read(bench, f"/dashboard/search?q={token[:6]}", status=404).text.replace(f"{token[:6]}", "")


@pytest.mark.parametrize("folder", ["accounts", "events", "objects", "payments", "payouts", "transfers", "webhooks"])
def test_an_unknown_id_says_so(bench: Any, folder: str) -> None:
    page = read(bench, f"/dashboard/{folder}/{quote_plus('xy_<b>')}", status=404)
    assert "xy_&lt;b&gt;" in page.text


def test_without_the_control_plane_there_is_no_dashboard(serve: Any, new_bench: Any) -> None:
    bench = new_bench(serve(control=False).base)
    for path in ("/dashboard/payments", "/dashboard/faults", "/dashboard/style.css", "/dashboard/search?q=a"):
        assert bench.send("GET", path).status == 404
    assert "dashboard" not in bench.send("GET", "/").body
