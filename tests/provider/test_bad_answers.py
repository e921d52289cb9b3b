"""Whatever the provider answers: it is read as it is meant, or it is no definite answer. Never anything else."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, get_args, get_type_hints

import pytest

from marketbill.provider.port import Unknown
from marketbill.provider.stripe import reading
from marketbill.provider.stripe.wire import _page_of_list, _understood

TRANSACTION = {
    "id": "txn_1",
    "type": "charge",
    "amount": 1000,
    "fee": 59,
    "net": 941,
    "currency": "eur",
    "status": "pending",
    "available_on": 1_795_000_000,
    "source": "ch_1",
}
PAYMENT = {
    "id": "pi_1",
    "status": "requires_action",
    "amount": 1000,
    "currency": "eur",
    "latest_charge": {"id": "ch_1"},
    "client_secret": "pi_1_secret_x",
    "next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example"}},
    "last_payment_error": {"code": "card_declined", "decline_code": "lost_card", "message": "no"},
    "metadata": {"marketbill_intent": "int_1"},
    "transfer_group": "pay_1",
}
GOOD: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "payment": (reading.payment, PAYMENT),
    "charge": (
        reading.charge,
        {
            "id": "ch_1",
            "amount": 1000,
            "currency": "eur",
            "status": "succeeded",
            "payment_intent": "pi_1",
            "balance_transaction": TRANSACTION,
        },
    ),
    "balance transaction": (reading.balance_transaction, TRANSACTION),
    "transfer": (
        reading.transfer,
        {
            "id": "tr_1",
            "amount": 700,
            "currency": "eur",
            "destination": "acct_1",
            "destination_payment": "py_1",
            "created": 1_795_000_000,
            "metadata": {"marketbill_intent": "int_1"},
            "transfer_group": "pay_1",
        },
    ),
    "payout": (
        reading.payout,
        {
            "id": "po_1",
            "status": "failed",
            "amount": 700,
            "currency": "eur",
            "arrival_date": 1_795_000_000,
            "failure_code": "no_account",
            "metadata": {"marketbill_intent": "int_1"},
        },
    ),
    "account": (
        reading.account,
        {
            "id": "acct_1",
            "capabilities": {"transfers": "active"},
            "payouts_enabled": True,
            "requirements": {"currently_due": ["individual.dob"], "current_deadline": 1_795_000_000},
        },
    ),
    "v2 account": (
        reading.account_v2,
        {
            "id": "acct_1",
            "configuration": {
                "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"status": "active"}}}}
            },
            "requirements": {
                "entries": [{"description": "dob", "minimum_deadline": {"status": "currently_due"}}],
                "summary": {"minimum_deadline": {"time": "2026-12-01T00:00:00Z"}},
            },
        },
    ),
    "account link": (reading.account_link, {"url": "https://connect.example", "expires_at": 1_795_000_000}),
    "payment method": (
        reading.payment_method,
        {"id": "pm_1", "type": "card", "card": {"brand": "visa", "last4": "4242", "exp_month": 8, "exp_year": 2030}},
    ),
    "balances": (
        reading.balances,
        {"pending": [{"currency": "eur", "amount": 5}], "available": [{"currency": "eur", "amount": -7}]},
    ),
    "a page of a list": (_page_of_list, {"data": [{"id": "tr_1"}], "has_more": False}),
}
WRONG: tuple[Any, ...] = (None, True, 7, -1, 1.5, 10**30, "", "x", "1000", "\x00", "\ud800", [], [1], {}, {"id": 7})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field, at any depth."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, within in inner:
        yield (*path, name)
        yield from places(within, (*path, name))


def spoiled(good: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    bad = copy.deepcopy(good)
    holder = bad
    for name in path[:-1]:
        holder = holder[name]
    if wrong is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = wrong
    return bad


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_is_read(name: str) -> None:
    read, good = GOOD[name]
    check_types(_understood(read, good))


def test_a_person_is_told_what_is_wrong_with_an_answer() -> None:
    read, good = GOOD["transfer"]
    for path, wrong, words in (("currency", ..., "it lacks currency"), ("amount", "1", "amount is str, not a whole")):
        with pytest.raises(Unknown) as unknown:
            _understood(read, spoiled(good, (path,), wrong))
        assert words in unknown.value.failure.message


@pytest.mark.parametrize("name", GOOD)
def test_a_field_that_is_missing_or_of_another_type_is_never_acted_upon(name: str) -> None:
    read, good = GOOD[name]
    codes: list[str | None] = []
    for path in places(good):
        for wrong in (..., *WRONG):
            try:
                check_types(_understood(read, spoiled(good, path, wrong)))
            except Unknown as unknown:
                codes.append(unknown.failure.code)
    assert set(codes) == {"answer_not_understood"}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("whole", [None, 7, "text", [], [[]], {}])
def test_something_else_altogether_is_never_acted_upon(name: str, whole: Any) -> None:
    read, _ = GOOD[name]
    if whole == {} and name in ("v2 account",):
        return
    with pytest.raises(Unknown):
        _understood(read, whole)


def check_types(read: Any) -> None:
    """Every field of what was read is of the type that it says."""
    if isinstance(read, list | tuple):
        for one in read:
            check_types(one)
    if not is_dataclass(read) or isinstance(read, type):
        return
    hints = get_type_hints(type(read))
    for field in fields(read):
        value, hint = getattr(read, field.name), hints[field.name]
        check_types(value)
        if hint is str:
            assert isinstance(value, str), (field.name, value)
            assert value, field.name
            assert "\x00" not in value, field.name
        elif hint is int:
            assert isinstance(value, int), (field.name, value)
            assert not isinstance(value, bool), field.name
            assert abs(value) < 2**63, field.name
        elif hint is bool:
            assert isinstance(value, bool), (field.name, value)
        elif hint is datetime:
            assert value.tzinfo is not None
        elif set(get_args(hint)) == {str, type(None)} and value is not None:
            assert isinstance(value, str), (field.name, value)
