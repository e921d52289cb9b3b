"""What may last too long: how long it may, who sees to it, and what a person does when it lasts longer.

A table and no code: `WAITS` are the questions put to the database; `states` says which of them watch which state. What
is late is told by `marketbill doctor`, by the alarms and by the metrics.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from marketbill.sellers.onboarding import DISCONNECTED


class Kind(StrEnum):
    """What may last too long on a platform."""

    PAYMENT_PROCESSING = "payment_processing"
    PAYMENT_UNSETTLED = "payment_unsettled"
    PAYMENT_FUNDS_LATE = "payment_funds_late"
    PAYMENT_UNDELIVERED = "payment_undelivered"
    PAYMENT_UNRELEASED = "payment_unreleased"
    PAYMENT_HELD_LONG = "payment_held_long"
    PAYMENT_UNTRANSFERRED = "payment_untransferred"
    TRANSFER_HELD = "transfer_held"
    TRANSFER_REFUSED = "transfer_refused"
    PAYOUT_UNDER_WAY = "payout_under_way"
    FLOAT_SHORT = "float_short"
    REFUND_RECOVERING = "refund_recovering"
    REFUND_UNDER_WAY = "refund_under_way"
    REFUND_FAILED = "refund_failed"
    DISPUTE_UNANSWERED = "dispute_unanswered"
    DISPUTE_UNSETTLED = "dispute_unsettled"
    SELLER_UNREAD = "seller_unread"
    REQUEST_OVERDUE = "request_overdue"
    REQUEST_UNRESOLVED = "request_unresolved"
    REQUEST_HELD = "request_held"
    REQUEST_GIVEN_UP = "request_given_up"
    EVENT_UNHANDLED = "event_unhandled"
    EVENT_PARKED = "event_parked"
    EVENTS_NOT_LISTED = "events_not_listed"
    ACCOUNT_NOT_LISTED = "account_not_listed"
    HOLD_UNEXPIRED = "hold_unexpired"
    CORRECTION_WAITING = "correction_waiting"
    DRIFT_OPEN = "drift_open"
    NOT_RECONCILED = "not_reconciled"
    WRITE_OFF_WAITING = "write_off_waiting"
    DEBT_ABOVE_LIMIT = "debt_above_limit"


@dataclass(frozen=True, slots=True)
class Wait:
    """What waits: rows `w` of `table` for which `condition` holds, since `since` (all SQL, columns of the second wall).

    `limit` is how long it may; nothing may at a limit of zero. `detail` are SQL columns for the tenant's own eyes
    (`id`, `about`, `why`, `attempts`, `amount`, `currency`, `subject`), `noun` the kind of public id. `to_do` may name
    the `{id}`. `many` wait at any time, of which only the first few are late. `cut_off` says (SQL) that its seller's
    account is connected no longer: then `RECONNECT` is what to do. A detail may tell when it goes on by itself (`due`).
    """

    words: str
    table: str
    condition: str
    since: str
    limit: timedelta
    swept_by: str
    to_do: str
    noun: str
    detail: str
    joins: str = ""
    many: bool = False
    cut_off: str = ""


_PAYMENT = "w.id, w.status as about, null as why, null as attempts, w.gross as amount, w.currency, null as subject"
_REQUEST = (
    "w.id, w.kind as about, coalesce(w.last_error ->> 'message', w.last_error ->> 'code') as why, w.attempts,"
    " null as amount, null as currency, w.subject_id as subject, w.next_attempt_at as due"
)
_REFUND = "w.id, w.status as about, w.explanation as why, w.attempt as attempts, w.amount, w.currency, null as subject"
_NO_MONEY = "null as amount, null as currency, null as subject"
_EVENT = f"w.id, w.type as about, w.error as why, w.attempts, {_NO_MONEY}, w.next_attempt_at as due"
_TO_SELLER = (
    "w.id, w.status || ' to ' || s.name as about, w.reason as why, null as attempts, w.amount, w.currency,"
    " null as subject"
)
_OF_SELLER = "join seller s on s.platform_id = w.platform_id and s.id = w.seller_id"
_IS_CUT_OFF = f"s.requirements ->> 'disabled_reason' = '{DISCONNECTED}'"
#: What is to do where the seller's account is gone, or no longer ours; no link of ours can bring it back.
RECONNECT = (
    "the seller's account is no longer connected: he connects it again at the provider, or the money is settled with"
    " him by hand and the request abandoned (`marketbill doctor abandon`)"
)
_ARE_THEY_RUNNING = "see that relay and workers run, and that the provider answers"
_RETRY = "mend the cause, then `marketbill doctor retry {id}`, or `marketbill doctor abandon {id} --reason ...`"
_REPLAY = "mend the cause, then `marketbill doctor replay {id}`, or `marketbill doctor dismiss {id} --reason ...`"

WAITS: dict[Kind, Wait] = {
    Kind.PAYMENT_PROCESSING: Wait(
        words="payments that the buyer's bank is still at",
        table="payment w",
        condition="w.provider_payment is not null and w.status = 'PROCESSING'",
        since="w.created_at",
        limit=timedelta(days=14),
        swept_by="resolve_payments asks, ever less often, for 30 days",
        to_do="look at the payment at the provider",
        noun="payment",
        detail=_PAYMENT,
        many=True,
    ),
    Kind.PAYMENT_UNSETTLED: Wait(
        words="payments that succeeded and are not settled",
        table="payment w",
        condition="w.succeeded_at is not null and w.settled_at is null",
        since="w.succeeded_at",
        limit=timedelta(hours=2),
        swept_by="charge.updated; resolve_payments asks from two minutes on",
        to_do="look at its charge at the provider; its amount must be ours",
        noun="payment",
        detail=_PAYMENT,
        many=True,
    ),
    Kind.PAYMENT_FUNDS_LATE: Wait(
        words="payments whose funds should be available",
        table="payment w",
        condition="w.settled_at is not null and w.available_at is null",
        since="w.available_on",
        limit=timedelta(hours=1),
        swept_by="make_available, each minute",
        to_do=_ARE_THEY_RUNNING,
        noun="payment",
        detail=_PAYMENT,
        many=True,
    ),
    Kind.PAYMENT_UNDELIVERED: Wait(
        words="payments held until a delivery or an approval that nobody told of",
        table="payment w",
        # What a hold keeps has no next release either, and is told of as a hold.
        condition="w.available_at is not null and w.released_at is null and w.release_on is null"
        " and exists (select from payment_share s where s.platform_id = w.platform_id and s.payment_id = w.id"
        " and s.released_at is null and s.release_on is null)",
        since="w.available_at",
        limit=timedelta(days=60),
        swept_by="paymentDeliver, paymentApprove",
        to_do="tell of the delivery (paymentDeliver), or approve (paymentApprove): money may not be held for ever",
        noun="payment",
        detail=_PAYMENT,
        many=True,
    ),
    Kind.PAYMENT_UNRELEASED: Wait(
        words="payments whose hold is over",
        table="payment w",
        condition="w.available_at is not null and w.released_at is null and w.release_on is not null",
        since="greatest(w.release_on, w.available_at)",
        limit=timedelta(hours=1),
        swept_by="release_payments, each minute",
        to_do=_ARE_THEY_RUNNING,
        noun="payment",
        detail=_PAYMENT,
        many=True,
    ),
    Kind.PAYMENT_HELD_LONG: Wait(
        words="payments held for nearly as long as the law lets them be",
        table="payment w",
        # The bound stands alone, so that the index finds those alone whose time is nearly over.
        condition="w.available_at is not null and w.released_at is null"
        " and w.release_by <= cast(:now as timestamptz) + interval '7 days'",
        since="(w.release_by - interval '7 days')",
        limit=timedelta(0),
        swept_by="a person: whoever placed the hold, or knows of the delivery",
        to_do="release it (paymentDeliver, paymentApprove, sellerHoldLift) or refund the buyer before its time is over",
        noun="payment",
        detail=_PAYMENT,
        many=True,
    ),
    Kind.PAYMENT_UNTRANSFERRED: Wait(
        words="payments released and not split into transfers",
        table="payment_share w",
        condition="w.released_at is not null and w.transfers_planned_at is null",
        since="w.released_at",
        limit=timedelta(minutes=10),
        swept_by="execute_transfers, each minute",
        to_do=_ARE_THEY_RUNNING,
        noun="payment",
        detail="w.payment_id as id, 'released to ' || s.name as about, null as why, null as attempts,"
        " w.released as amount, coalesce(y.settlement_currency, y.currency) as currency, null as subject",
        joins=_OF_SELLER + " join payment y on y.platform_id = w.platform_id and y.id = w.payment_id",
        many=True,
    ),
    Kind.TRANSFER_HELD: Wait(
        words="transfers held until the seller may receive",
        table="transfer w",
        condition="w.status = 'HELD'",
        since="w.created_at",
        limit=timedelta(days=3),
        swept_by="account.updated; execute_transfers, each minute",
        to_do="the seller completes his onboarding (sellerOnboardingLinkCreate); the transfer follows by itself",
        noun="transfer",
        detail=_TO_SELLER,
        joins=_OF_SELLER,
        cut_off=_IS_CUT_OFF,
    ),
    Kind.TRANSFER_REFUSED: Wait(
        words="transfers that were refused, whose money is payable",
        table="transfer w join provider_intent i on i.platform_id = w.platform_id and i.id = w.intent_id",
        # A request that was given up is told of itself. One that an operator abandoned is his decision: it is listed
        # with all that waits, for the money is owed still, but it is no alarm.
        condition="w.status = 'REFUSED' and i.status <> 'GAVE_UP'"
        " and (i.status <> 'ABANDONED' or cast(:patience as float8) = 0)",
        since="w.updated_at",
        limit=timedelta(0),
        swept_by="an operator",
        to_do="the money is owed to the seller: `marketbill doctor retry {id}` has it transferred after all",
        noun="provider intent",
        detail="i.id, i.kind as about, w.reason as why, i.attempts, w.amount, w.currency, w.id as subject",
    ),
    Kind.PAYOUT_UNDER_WAY: Wait(
        words="payouts that neither arrived nor came back",
        table="payout w",
        condition="w.provider_payout is not null and w.status in ('CREATED', 'IN_TRANSIT')",
        since="w.created_at",
        limit=timedelta(days=10),
        swept_by="payout.*; keep_up_payouts asks, at least once a day",
        to_do="look at the payout at the provider, and ask the seller's bank",
        noun="payout",
        detail=_TO_SELLER,
        joins=_OF_SELLER,
    ),
    Kind.FLOAT_SHORT: Wait(
        words="currencies in which the next days ask for more than the platform has at the provider",
        table="float_short w",
        condition="w.since is not null",
        since="w.since",
        limit=timedelta(0),
        swept_by="keep_up_treasury, every ten minutes",
        to_do="top up the platform's balance in {id} at the provider",
        noun="float",
        detail="w.currency as id, 'short by' as about, 'transfers from the platform''s own balance and refunds' as why,"
        " null as attempts, w.short as amount, w.currency, null as subject",
    ),
    Kind.REFUND_RECOVERING: Wait(
        words="refunds that wait for what is taken back from sellers",
        table="refund w",
        condition="w.status = 'RECOVERING'",
        since="w.created_at",
        limit=timedelta(hours=1),
        swept_by="execute_refunds, as soon as each reversal is decided",
        to_do=_ARE_THEY_RUNNING,
        noun="refund",
        detail=_REFUND,
    ),
    Kind.REFUND_UNDER_WAY: Wait(
        words="refunds that the provider has not paid",
        table="refund w",
        condition="w.status = 'PENDING'",
        since="w.updated_at",
        limit=timedelta(days=2),
        swept_by="refund.*",
        to_do="look whether the balance at the provider is large enough, and at the refund there",
        noun="refund",
        detail=_REFUND,
    ),
    Kind.REFUND_FAILED: Wait(
        words="refunds that the buyer's bank sent back",
        table="refund w",
        condition="w.status = 'FAILED'",
        since="w.failed_at",
        limit=timedelta(0),
        swept_by="an operator",
        to_do="ask the buyer, then have it sent again (refundRetry) or give him credit (refundSettle)",
        noun="refund",
        detail=_REFUND,
    ),
    Kind.DISPUTE_UNANSWERED: Wait(
        words="disputes whose evidence is due within two days, or was, and that nobody answered",
        table="dispute w",
        # The bound stands alone, so that the index finds those alone whose time is nearly over.
        condition="w.status in ('INQUIRY', 'NEEDS_RESPONSE') and coalesce(w.answer, 'REFUSED') = 'REFUSED'"
        " and w.due_by <= cast(:now as timestamptz) + interval '48 hours'",
        since="(w.due_by - interval '48 hours')",
        limit=timedelta(0),
        swept_by="an operator",
        to_do="add evidence and answer it before its time is over (disputeContest), or give it up (disputeAccept)",
        noun="dispute",
        detail="w.id, w.status || ', due by ' || to_char(w.due_by at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC,'"
        " as about, coalesce(w.explanation, w.reason) as why, null as attempts, w.amount, w.currency, null as subject",
    ),
    Kind.DISPUTE_UNSETTLED: Wait(
        words="disputes whose sellers' parts are not settled",
        table="dispute w",
        condition="w.settle_since is not null",
        since="w.settle_since",
        limit=timedelta(hours=6),
        swept_by="execute_disputes, as soon as the sale is settled and each reversal is decided",
        to_do=_ARE_THEY_RUNNING,
        noun="dispute",
        detail="w.id, w.status as about, w.reason as why, null as attempts, w.amount, w.currency, null as subject",
    ),
    Kind.SELLER_UNREAD: Wait(
        words="sellers under onboarding whose account was not read",
        table="seller w",
        condition="w.transfers <> 'ACTIVE' and w.provider_account is not null",
        since="w.provider_read_at",
        limit=timedelta(days=1),
        swept_by="account.updated; keep_up_sellers asks",
        to_do=_ARE_THEY_RUNNING,
        noun="seller",
        detail=f"w.id, w.transfers || ' ' || w.name as about, null as why, null as attempts, {_NO_MONEY}",
    ),
    Kind.REQUEST_OVERDUE: Wait(
        words="requests to the provider that nobody sends",
        table="provider_intent w",
        condition="w.next_attempt_at is not null",
        since="w.next_attempt_at",
        limit=timedelta(minutes=10),
        swept_by="the job of its kind, each minute",
        to_do=_ARE_THEY_RUNNING,
        noun="provider intent",
        detail=_REQUEST,
    ),
    Kind.REQUEST_UNRESOLVED: Wait(
        words="requests to the provider without an end",
        table="provider_intent w",
        condition="w.next_attempt_at is not null and w.status in ('OPEN', 'UNKNOWN') and w.held_for is null",
        since="w.created_at",
        limit=timedelta(hours=6),
        swept_by="the job of its kind, by the retry table",
        to_do="mend what it says; it is tried again by itself, or at once by `marketbill doctor retry {id}`",
        noun="provider intent",
        detail=_REQUEST,
    ),
    Kind.REQUEST_HELD: Wait(
        words="requests held until the seller's account allows them",
        table="provider_intent w",
        condition="w.next_attempt_at is not null and w.held_for is not null",
        since="w.created_at",
        limit=timedelta(days=7),
        swept_by="account.updated; tried anyway after seven days",
        to_do="the seller completes what the provider wants of him (sellerOnboardingLinkCreate)",
        noun="provider intent",
        detail=_REQUEST,
        joins="left join seller s on s.platform_id = w.platform_id"
        " and s.provider_account = split_part(w.held_for, ':', 2)",
        cut_off=_IS_CUT_OFF,
    ),
    Kind.REQUEST_GIVEN_UP: Wait(
        words="requests to the provider that were given up",
        table="provider_intent w",
        condition="w.status = 'GAVE_UP'",
        since="w.updated_at",
        limit=timedelta(0),
        swept_by="an operator",
        to_do=_RETRY,
        noun="provider intent",
        detail=_REQUEST,
    ),
    Kind.EVENT_UNHANDLED: Wait(
        words="events of the provider that were not handled",
        table="inbox_event w",
        condition="w.next_attempt_at is not null",
        since="w.received_at",
        limit=timedelta(minutes=10),
        swept_by="handle_events, each minute and ever less often",
        to_do="mend what it says; it is tried again by itself, or at once by `marketbill doctor replay {id}`",
        noun="event",
        detail=_EVENT,
    ),
    Kind.EVENT_PARKED: Wait(
        words="events of the provider that were parked",
        table="inbox_event w",
        condition="w.handled_at is null and w.next_attempt_at is null",
        since="w.received_at",
        limit=timedelta(0),
        swept_by="an operator",
        to_do=_REPLAY,
        noun="event",
        detail=_EVENT,
    ),
    Kind.EVENTS_NOT_LISTED: Wait(
        words="the provider's list of events was not looked through",
        table="provider_credential w left join event_cursor c on c.platform_id = w.platform_id and c.account = ''",
        # Not a thing that waits, so it is told of only when it is late.
        condition="cast(:patience as float8) > 0",
        since="coalesce(c.ran_at, w.created_at)",
        limit=timedelta(hours=1),
        swept_by="catch_up_events, every ten minutes",
        to_do=_ARE_THEY_RUNNING + "; a long list takes its time",
        noun="platform",
        detail="w.platform_id as id, 'list of events' || coalesce(', looked through from '"
        " || to_char(c.walk_newest at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' down to '"
        " || to_char(c.walk_down_to at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), '') as about, c.error as why,"
        f" null as attempts, {_NO_MONEY}",
    ),
    Kind.ACCOUNT_NOT_LISTED: Wait(
        words="connected accounts whose list of events cannot be read",
        table="event_cursor w",
        # Of an account that needs no look any more the error stays, and matters no more.
        condition="w.account <> '' and w.failing_since is not null"
        " and w.tried_at > cast(:now as timestamptz) - interval '1 day'",
        since="w.failing_since",
        limit=timedelta(hours=1),
        swept_by="catch_up_events, every ten minutes",
        to_do="look at account {id} at the provider, and whether our key may read it; it is tried again by itself",
        noun="account",
        detail=f"w.account as id, 'list of events' as about, w.error as why, null as attempts, {_NO_MONEY}",
    ),
    Kind.HOLD_UNEXPIRED: Wait(
        words="holds whose end has passed and that still keep money aside",
        table="ledger_hold w",
        condition="w.expires_at is not null",
        since="w.expires_at",
        limit=timedelta(minutes=10),
        swept_by="expire_holds, each minute",
        to_do="see that relay and workers run; `marketbill ledger void-hold {id}` gives it back by hand",
        noun="journal entry",
        detail=f"w.entry_id as id, 'that is a hold' as about, null as why, null as attempts, {_NO_MONEY}",
        many=True,
    ),
    Kind.CORRECTION_WAITING: Wait(
        words="corrections of the books that wait for a second person",
        table="ledger_correction w",
        condition="w.status = 'PENDING' and w.expires_at > cast(:now as timestamptz)",
        since="w.requested_at",
        limit=timedelta(days=3),
        swept_by="an operator; it expires after 14 days",
        to_do="another person decides: `marketbill ledger approve {id}`, or `... reject {id} --reason ...`",
        noun="correction",
        detail=f"w.id, 'asked for by ' || w.requested_by as about, w.reason as why, null as attempts, {_NO_MONEY}",
    ),
    Kind.DRIFT_OPEN: Wait(
        words="differences between the provider's records and ours",
        table="drift w",
        condition="w.closed_at is null and w.accepted_by is null",
        since="w.opened_at",
        limit=timedelta(minutes=15),
        swept_by="reconcile, every ten minutes: what heals closes by itself",
        to_do="`marketbill reconcile` says what is to do; one that is known and right is accepted (driftAccept)",
        noun="drift",
        detail="w.id, lower(w.kind) || ' ' || lower(w.thing) || ' ' || coalesce(w.name, w.provider_id) as about,"
        " 'the provider says ' || w.expected || ', we say ' || w.found || ' (minor units)' as why, null as attempts,"
        " w.expected as amount, w.currency, null as subject",
    ),
    Kind.NOT_RECONCILED: Wait(
        words="the provider's records were not compared with ours",
        table="provider_credential w left join reconcile_cursor c on c.platform_id = w.platform_id",
        # Not a thing that waits, so it is told of only when it is late.
        condition="cast(:patience as float8) > 0",
        since="coalesce(c.ran_at, w.created_at)",
        limit=timedelta(hours=6),
        swept_by="reconcile, every ten minutes",
        to_do=_ARE_THEY_RUNNING + "; what was never compared takes its time",
        noun="platform",
        detail="w.platform_id as id, 'compared up to '"
        " || coalesce(to_char(c.fresh_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), 'nowhere') as about,"
        f" c.error as why, null as attempts, {_NO_MONEY}",
    ),
    Kind.WRITE_OFF_WAITING: Wait(
        words="write-offs that wait for a second person",
        table="write_off w",
        condition="w.status = 'PROPOSED'",
        since="w.proposed_at",
        limit=timedelta(days=2),
        swept_by="an operator, another than who proposed it",
        to_do="another person decides: writeOffApprove or writeOffReject of {id}",
        noun="write-off",
        detail="w.id, 'asked for by ' || w.proposed_by as about, w.reason as why, null as attempts, w.amount,"
        " w.currency, null as subject",
    ),
    Kind.DEBT_ABOVE_LIMIT: Wait(
        words="sellers who owe more than the platform's limit",
        # Of the ladder that counts, the newest; few sellers owe anything.
        table="(select d.platform_id, d.seller_id, d.currency, min(d.created_at) as since,"
        " cast(sum(d.remaining) as bigint) as amount, p.most from debt d join lateral ("
        " select cast(y.limits ->> d.currency as bigint) as most from debt_policy y"
        " where y.platform_id = d.platform_id order by y.version desc limit 1) p on true"
        " where d.remaining > 0 group by d.platform_id, d.seller_id, d.currency, p.most"
        " having sum(d.remaining) > p.most) w",
        condition="true",
        since="w.since",
        limit=timedelta(days=1),
        swept_by="keep_up_debts suspends the seller; new sales and what he pays lower it",
        to_do="collect it (debtPaymentRecord), propose a write-off, or raise the limit (debtPolicyPublish)",
        noun="seller",
        detail="w.seller_id as id, 'owes' as about, 'above the limit of ' || w.most || ' (minor units)' as why,"
        " null as attempts, w.amount, w.currency, null as subject",
    ),
}
