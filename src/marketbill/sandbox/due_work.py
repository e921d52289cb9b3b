"""What due entries mean: the name in the table and who does it."""

from marketbill.sandbox import balances, charges, events, payment_intents, payouts
from marketbill.sandbox.schedule import Work

DUE_WORK: dict[str, Work] = {
    "authorization": payment_intents.expire_authorization,
    "funds": balances.make_available,
    "payout_arrived": payouts.arrive,
    "payout_sent": payouts.send,
    "prune": events.prune,
    "settle": charges.settle_later,
    "told": balances.tell_available,
}
