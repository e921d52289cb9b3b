"""What due entries mean: the name in the table and who does it."""

from marketbill.sandbox import (
    automatic_payouts,
    balances,
    charges,
    disputes,
    events,
    payment_intents,
    payout_course,
    refunds,
    reserves,
    risk_reserves,
    topups,
    verification,
)
from marketbill.sandbox.schedule import Work

DUE_WORK: dict[str, Work] = {
    "authorization": payment_intents.expire_authorization,
    "automatic_payouts": automatic_payouts.run,
    "collection": reserves.collect,
    "dispute_decided": disputes.conclude,
    "dispute_due": disputes.expire,
    "funds": balances.make_available,
    "inquiry_over": disputes.end_inquiry,
    "payout_arrived": payout_course.arrive,
    "payout_reconciled": automatic_payouts.reconcile,
    "payout_sent": payout_course.send,
    "prune": events.prune,
    "refund_done": refunds.finish,
    "refund_failed": refunds.fail,
    "reserve": reserves.follow,
    "risk_release": risk_reserves.release,
    "settle": charges.settle_later,
    "told": balances.tell_available,
    "topup_failed": topups.fail,
    "topup_reversed": topups.reverse,
    "verify": verification.verified,
    "waiting_refunds": refunds.pay_waiting,
}
