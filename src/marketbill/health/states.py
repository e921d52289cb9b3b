"""Every state of every thing: final, or watched by some waits, or neither because of something."""

from dataclasses import dataclass

from marketbill.health.waits import Kind


@dataclass(frozen=True, slots=True)
class State:
    """A state of a thing: `final`, or watched by some waits, or neither `because` of something."""

    thing: str
    name: str
    waits: tuple[Kind, ...] = ()
    final: bool = False
    because: str = ""


_REQUESTS = (Kind.REQUEST_OVERDUE, Kind.REQUEST_UNRESOLVED, Kind.REQUEST_HELD, Kind.REQUEST_GIVEN_UP)
_BUYER = "the buyer may still pay; resolve_payments asks, ever less often, for 30 days"
_JUDGED = "the buyer's bank takes its months; its word comes as an event, or is found by the catch-up"

STATES: tuple[State, ...] = (
    # A request that is under way stands for the payment, transfer, payout or account that it is to make.
    State("payment", "CREATED", _REQUESTS),
    State("payment", "REQUIRES_PAYMENT_METHOD", because=_BUYER),
    State("payment", "REQUIRES_ACTION", because=_BUYER),
    State("payment", "DECLINED", because=_BUYER),
    State("payment", "PROCESSING", (Kind.PAYMENT_PROCESSING,)),
    State(
        "payment",
        "SUCCEEDED",
        (
            Kind.PAYMENT_UNSETTLED,
            Kind.PAYMENT_FUNDS_LATE,
            Kind.PAYMENT_UNDELIVERED,
            Kind.PAYMENT_UNRELEASED,
            Kind.PAYMENT_HELD_LONG,
            Kind.PAYMENT_UNTRANSFERRED,
        ),
    ),
    State("payment", "CANCELED", final=True),
    State("payment", "FAILED", final=True),
    State("transfer", "PENDING", _REQUESTS),
    State("transfer", "HELD", (Kind.TRANSFER_HELD,)),
    State("transfer", "REFUSED", (*_REQUESTS, Kind.TRANSFER_REFUSED)),
    State("transfer", "SENT", final=True),
    State("transfer", "CANCELED", final=True),
    State("reversal", "WAITING", because="its transfer is watched; who waits for it does so no longer than for that"),
    State("reversal", "PENDING", _REQUESTS),
    State("reversal", "DONE", final=True),
    State("reversal", "LOWERED", final=True),
    State("reversal", "REFUSED", final=True),
    State("payout", "CREATED", (*_REQUESTS, Kind.PAYOUT_UNDER_WAY)),
    State("payout", "IN_TRANSIT", (Kind.PAYOUT_UNDER_WAY,)),
    State("payout", "PAID", because="it may come back within days; keep_up_payouts asks, then it is final"),
    State("payout", "FAILED", final=True),
    State("payout", "CANCELED", final=True),
    State("payout", "REFUSED", final=True),
    State("float", "SHORT", (Kind.FLOAT_SHORT,)),
    State("refund", "RECOVERING", (Kind.REFUND_RECOVERING,)),
    State("refund", "SENDING", _REQUESTS),
    State("refund", "PENDING", (Kind.REFUND_UNDER_WAY,)),
    State("refund", "SUCCEEDED", because="its bank may send it back for 30 days; refund.* tells, then it is final"),
    State("refund", "FAILED", (Kind.REFUND_FAILED,)),
    State("refund", "REFUSED", final=True),
    State("refund", "CREDITED", final=True),
    State("dispute", "INQUIRY", (Kind.DISPUTE_UNANSWERED, *_REQUESTS)),
    State("dispute", "INQUIRY_ANSWERED", because=_JUDGED),
    State("dispute", "INQUIRY_CLOSED", final=True),
    State("dispute", "NEEDS_RESPONSE", (Kind.DISPUTE_UNANSWERED, Kind.DISPUTE_UNSETTLED, *_REQUESTS)),
    State("dispute", "UNDER_REVIEW", because=_JUDGED),
    State("dispute", "WON", (Kind.DISPUTE_UNSETTLED,)),
    State("dispute", "PARTLY_WON", (Kind.DISPUTE_UNSETTLED,)),
    State("dispute", "LOST", (Kind.DISPUTE_UNSETTLED,)),
    State("dispute", "PREVENTED", final=True),
    State("seller", "UNREQUESTED", (*_REQUESTS, Kind.SELLER_UNREAD)),
    State("seller", "PENDING", (Kind.SELLER_UNREAD,)),
    State("seller", "RESTRICTED", (Kind.SELLER_UNREAD,)),
    State("seller", "ACTIVE", final=True),
    State("request", "OPEN", _REQUESTS),
    State("request", "UNKNOWN", _REQUESTS),
    State("request", "GAVE_UP", (Kind.REQUEST_GIVEN_UP,)),
    State("request", "ABANDONED", final=True),
    State("request", "REFUSED", final=True),
    State("request", "SUCCEEDED", final=True),
    State("event", "WAITING", (Kind.EVENT_UNHANDLED,)),
    State("event", "PARKED", (Kind.EVENT_PARKED,)),
    State("event", "HANDLED", final=True),
    State("event", "DISMISSED", final=True),
    State("event", "UNHEARD", (Kind.EVENTS_NOT_LISTED, Kind.ACCOUNT_NOT_LISTED)),
    State("hold", "OPEN", (Kind.HOLD_UNEXPIRED,)),
    State("hold", "RESOLVED", final=True),
    State("correction", "PENDING", (Kind.CORRECTION_WAITING,)),
    State("correction", "POSTED", final=True),
    State("correction", "REJECTED", final=True),
    State("correction", "EXPIRED", final=True),
    State("drift", "OPEN", (Kind.DRIFT_OPEN,)),
    State("drift", "ACCEPTED", because="an operator knows of it; it opens again when its amounts change"),
    State("drift", "CLOSED", final=True),
    State("reconciliation", "BEHIND", (Kind.NOT_RECONCILED,)),
    State("write-off", "PROPOSED", (Kind.WRITE_OFF_WAITING,)),
    State("write-off", "BOOKED", final=True),
    State("write-off", "REJECTED", final=True),
    State("debt", "OPEN", because="its ladder has a date for every step, and new sales pay it"),
    State("debt", "ABOVE_LIMIT", (Kind.DEBT_ABOVE_LIMIT,)),
    State("debt", "CLOSED", final=True),
    State("idempotency key", "CLAIMED", because="the next request takes over after 60 s; forgotten after 48 h (prune)"),
    State("idempotency key", "FINISHED", because="forgotten after 48 h (prune)"),
    State("outbox message", "DUE", because="the relay takes it within a second; watched as one, see `processes`"),
)
