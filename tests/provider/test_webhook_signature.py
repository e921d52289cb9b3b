"""Who signed a webhook, and when."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from stripe import WebhookSignature

from marketbill.provider.port import BadEvent, BadSignature
from marketbill.provider.stripe import parse_event, verify_signature

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BODY = b'{"id":"evt_1"}'
SECRETS = ("whsec_platform", "whsec_connect")


def signed(secret: str, *, at: datetime = NOW, body: bytes = BODY) -> str:
    return WebhookSignature.generate_signature_header(body.decode(), secret, timestamp=int(at.timestamp()))


def test_it_tells_which_secret_signed() -> None:
    assert verify_signature(BODY, signed("whsec_platform"), SECRETS, NOW) == 0
    assert verify_signature(BODY, signed("whsec_connect"), SECRETS, NOW) == 1


def test_one_good_signature_among_two_is_enough_while_a_secret_is_rolled() -> None:
    header = f"{signed('whsec_old')},v1={signed('whsec_platform').split('v1=')[1]}"
    assert verify_signature(BODY, header, SECRETS, NOW) == 0


@pytest.mark.parametrize("drift", [timedelta(minutes=-4), timedelta(minutes=4)])
def test_clocks_may_differ_a_little(drift: timedelta) -> None:
    assert verify_signature(BODY, signed("whsec_platform", at=NOW + drift), SECRETS, NOW) == 0


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=,v1=",
        "garbage",
        "v1=abc",
        f"t={int(NOW.timestamp())}",
        f"t={int(NOW.timestamp())},v1=ünsigned",
        "t=99999999999999999999,v1=abc",
        signed("whsec_other"),
        signed("whsec_platform", body=b'{"id":"evt_2"}'),
        signed("whsec_platform", at=NOW - timedelta(minutes=6)),
        signed("whsec_platform", at=NOW + timedelta(minutes=6)),
        signed("whsec_platform").replace("v1=", "v0="),
        signed("whsec_platform") + "," + "x" * 3000,
    ],
)
def test_anything_else_is_a_bad_signature(header: str | None) -> None:
    with pytest.raises(BadSignature):
        verify_signature(BODY, header, SECRETS, NOW)


def test_a_body_that_is_not_text_is_a_bad_signature() -> None:
    with pytest.raises(BadSignature):
        verify_signature(b"\xff\xfe", signed("whsec_platform"), SECRETS, NOW)


def test_an_event_is_read_from_its_body() -> None:
    event = parse_event(
        orjson.dumps(
            {
                "object": "event",
                "id": "evt_1",
                "type": "payout.paid",
                "account": "acct_1",
                "created": 1_795_000_000,
                "livemode": False,
                "data": {"object": {"id": "po_1"}, "previous_attributes": {"status": "pending"}},
            }
        )
    )
    assert (event.id, event.type, event.account, event.object_id) == ("evt_1", "payout.paid", "acct_1", "po_1")
    assert event.previous == {"status": "pending"}
    assert event.created.tzinfo is UTC


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"null", b'{"object":"v2.core.event","id":"e"}', b'{"object":"event","id":"e"}', b"\xff"],
)
def test_anything_else_is_a_bad_event(body: bytes) -> None:
    with pytest.raises(BadEvent):
        parse_event(body)
