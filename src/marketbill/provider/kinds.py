"""The kinds of requests to the provider: what each is for, and which job sends it."""

from dataclasses import dataclass

CREATE_ACCOUNT = "create_account"
CREATE_PAYMENT = "create_payment"
CANCEL_PAYMENT = "cancel_payment"
CREATE_TRANSFER = "create_transfer"
CREATE_PAYOUT = "create_payout"
CREATE_TAX_TRANSACTION = "create_tax_transaction"
CREATE_REFUND = "create_refund"
REVERSE_TRANSFER = "reverse_transfer"
SUBMIT_EVIDENCE = "submit_evidence"
ACCEPT_DISPUTE = "accept_dispute"


@dataclass(frozen=True, slots=True)
class RequestKind:
    """`subject` is the kind of public id of what the request is for; `job` sends, looks up and ends what is due."""

    subject: str
    job: str


KINDS = {
    CREATE_ACCOUNT: RequestKind("seller", "keep_up_sellers"),
    CREATE_PAYMENT: RequestKind("payment", "resolve_payments"),
    CANCEL_PAYMENT: RequestKind("payment", "resolve_payments"),
    CREATE_TRANSFER: RequestKind("transfer", "execute_transfers"),
    CREATE_PAYOUT: RequestKind("payout", "execute_payouts"),
    CREATE_TAX_TRANSACTION: RequestKind("payment", "resolve_payments"),
    CREATE_REFUND: RequestKind("refund", "execute_refunds"),
    REVERSE_TRANSFER: RequestKind("reversal", "execute_reversals"),
    SUBMIT_EVIDENCE: RequestKind("dispute", "execute_disputes"),
    ACCEPT_DISPUTE: RequestKind("dispute", "execute_disputes"),
}


def kinds_of(job: str) -> list[str]:
    """The kinds that a job sends."""
    return [kind for kind, request in KINDS.items() if request.job == job]
