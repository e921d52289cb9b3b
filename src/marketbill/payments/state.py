"""A payment's state machine, pure: what the provider says of a payment, and what that makes of ours."""

from typing import Any

from marketbill.payments.model import PaymentStatus
from marketbill.provider.objects import PaymentState

_FROM_PROVIDER = {
    "requires_payment_method": PaymentStatus.REQUIRES_PAYMENT_METHOD,
    "requires_confirmation": PaymentStatus.REQUIRES_PAYMENT_METHOD,
    "requires_action": PaymentStatus.REQUIRES_ACTION,
    "requires_capture": PaymentStatus.PROCESSING,
    "processing": PaymentStatus.PROCESSING,
    "succeeded": PaymentStatus.SUCCEEDED,
    "canceled": PaymentStatus.CANCELED,
}


def status_of(state: PaymentState) -> PaymentStatus:
    """Our word for the provider's state; a payment that waits for another card after a refusal is DECLINED."""
    status = _FROM_PROVIDER[state.status]
    if status is PaymentStatus.REQUIRES_PAYMENT_METHOD and state.decline is not None:
        return PaymentStatus.DECLINED
    return status


def following(current: PaymentStatus, told: PaymentStatus) -> PaymentStatus:
    """The state after the provider told one, in whatever order it tells them.

    SUCCEEDED absorbs everything, for money has moved; CANCELED yields to nothing else.
    """
    if current is PaymentStatus.SUCCEEDED or told is PaymentStatus.SUCCEEDED:
        return PaymentStatus.SUCCEEDED
    if current is PaymentStatus.CANCELED:
        return current
    return told


def columns(current: PaymentStatus, state: PaymentState) -> dict[str, Any]:
    """The columns of a payment that the provider's state decides (without times)."""
    status = following(current, status_of(state))
    return {
        "status": status,
        "provider_payment": state.id,
        "next_action": state.next_action.as_json()
        if state.next_action and status is PaymentStatus.REQUIRES_ACTION
        else None,
        "decline": state.decline.as_json() if state.decline and status is PaymentStatus.DECLINED else None,
    }
