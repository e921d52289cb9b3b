"""What becomes of a payout: sent to the bank, paid or refused there, and sometimes returned after it was paid."""

from __future__ import annotations

from marketbill.sandbox import balances, banks
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.payout_schedule import after_business_days
from marketbill.sandbox.wire import Doc, refused

#: Business days after its arrival in which a bank may still return a payout.
RETURN_BUSINESS_DAYS = 5

#: Why a bank did not take a payout, and what the payout then says.
FAILURES = {
    "account_closed": "The bank account has been closed.",
    "account_frozen": "The bank account has been frozen.",
    "bank_account_restricted": "The bank account has restrictions on either the type, or the number, of payouts "
    "allowed. This normally indicates that the bank account is a savings or other non-checking account.",
    "bank_ownership_changed": "The destination bank account is no longer valid because its branch has changed "
    "ownership.",
    "could_not_process": "The bank could not process this payout.",
    "debit_not_authorized": "Debit transactions are not approved on the bank account.",
    "declined": "The bank has declined this payout. Please contact the bank before retrying.",
    "incorrect_account_holder_name": "Your bank notified us that the bank account holder name on file is incorrect.",
    "insufficient_funds": "The bank account has insufficient funds.",
    "invalid_account_number": "The routing number seems correct, but the account number is invalid.",
    "invalid_currency": "The bank was unable to process this payout because of its currency.",
    "no_account": "The bank account could not be located.",
    "unsupported_card": "The bank no longer supports payouts to this card.",
}


def send(desk: Desk, ref: str) -> None:
    """Due work: the payout goes to the bank; from here on it cannot be canceled."""
    doc = desk.store.edit(ref)
    if doc["status"] != "pending":
        return
    doc["status"] = "in_transit"
    doc["trace_id"] = {"status": "pending", "value": None}
    emit(desk, desk.store.owner_of(ref), "payout.updated", doc, previous={"status": "pending"})


def arrive(desk: Desk, ref: str) -> None:
    """Due work: the bank takes the payout, or refuses it as its test number says."""
    doc = desk.store.edit(ref)
    if doc["status"] != "in_transit":
        return
    account = desk.store.owner_of(ref)
    bank = desk.store.find("bank_account", doc["destination"])
    failure = banks.payout_failure(bank) if bank is not None and doc["amount"] > 0 else None
    if failure is not None:
        _fail(desk, account, doc, failure)
        return
    doc["status"] = "paid"
    doc["trace_id"] = {"status": "supported", "value": f"TRACE{doc['id'][-12:].upper()}"}
    emit(desk, account, "payout.paid", doc)


def fail(desk: Desk, identifier: str, code: str) -> Doc:
    """The bank returns a payout that is under way or was paid a few days ago.

    :raises ApiError: there is no such payout, it is not at the bank, or was there for too long.
    """
    account = desk.store.owner_of_named("payout", identifier, param="payout")
    doc = desk.store.edit(identifier)
    if doc["status"] not in ("in_transit", "paid") or doc["reversed_by"] or doc["amount"] < 0:
        raise refused(
            f"The payout {identifier} cannot fail: only one that is in transit or paid can, and its status is "
            f"{doc['status']}.",
            param="payout",
        )
    if desk.clock.now() >= after_business_days(doc["arrival_date"], RETURN_BUSINESS_DAYS + 1):
        raise refused(
            f"The payout {identifier} cannot fail any more: a bank returns it within {RETURN_BUSINESS_DAYS} business "
            "days.",
            param="payout",
        )
    _fail(desk, account, doc, code)
    return doc


def _fail(desk: Desk, account: str, doc: Doc, code: str) -> None:
    """Bring the money back and disable the bank account, until it is updated."""
    returned = balances.record(
        desk,
        account,
        transaction_type="payout_failure",
        amount=doc["amount"],
        currency=doc["currency"],
        source=doc["id"],
        description="STRIPE PAYOUT FAILURE",
    )
    doc.update(
        status="failed",
        failure_code=code,
        failure_message=FAILURES[code],
        failure_balance_transaction=returned["id"],
        trace_id={"status": "unsupported", "value": None},
    )
    desk.schedule.drop("payout_arrived", doc["id"])
    emit(desk, account, "payout.failed", doc)
    bank = desk.store.find("bank_account", doc["destination"])
    if bank is not None:
        previous = {"status": bank["status"]}
        bank = banks.write(desk, bank["id"], status="errored")
        emit(desk, account, "account.external_account.updated", bank, previous=previous)
    balances.tell_available(desk, account)
