"""Transfers: money from the platform's balance to a connected account's, both ledgers at once."""

from __future__ import annotations

from marketbill.sandbox import application_fees, balances, exchange_rates
from marketbill.sandbox.call import Call
from marketbill.sandbox.countries import may_receive
from marketbill.sandbox.currencies import check_maximum, check_positive, check_step, checked_currency, in_words
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata, missing_parameter
from marketbill.sandbox.proportion import share
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, missing, new_id, refused

#: Transfers that one charge may be the source of.
TRANSFERS_PER_CHARGE_MAX = 1_000

INSUFFICIENT = (
    "You have insufficient available funds in your Stripe account. Try adding funds directly to your available balance "
    "by creating Charges using the 4000000000000077 test card. See: https://stripe.com/docs/testing#available-balance"
)
NO_CAPABILITY = (
    "Your destination account needs to have at least one of the following capabilities enabled: transfers, "
    "crypto_transfers, legacy_payments"
)


def create(call: Call) -> Doc:
    """Send money to a connected account.

    From the available balance, or with ``source_transaction`` out of one charge: then it is accepted at once whatever
    is available, and the destination can use it when the charge's own money becomes available.
    """
    params = call.params
    if "amount" not in params and not params.get("source_transaction"):
        raise missing_parameter("amount")
    currency = checked_currency(params["currency"])
    if "amount" in params:
        check_positive(params["amount"])
        check_maximum(params["amount"], currency)
        check_step(params["amount"], currency)
    destination = checked_destination(call, params["destination"])
    charge = _source(call, params["source_transaction"]) if params.get("source_transaction") else None
    if charge is not None:
        amount = params.get("amount", call.store.get("balance_transaction", charge["balance_transaction"])["amount"])
        available_on = _take_from_charge(call, charge, amount, currency)
        group = _group_of(call, charge, params.get("transfer_group"))
    else:
        amount = params["amount"]
        available_on = None
        group = params.get("transfer_group") or None
        if balances.available(call.desk, call.account, currency) < amount:
            raise refused(INSUFFICIENT, code="balance_insufficient")
    return write(
        call.desk,
        call.account,
        destination["id"],
        amount=amount,
        currency=currency,
        available_on=available_on,
        charge_id=charge["id"] if charge is not None else None,
        group=group,
        description=params.get("description") or None,
        metadata=merged_metadata({}, params.get("metadata") or {}),
        source_type=params.get("source_type", "card"),
    )


def checked_destination(call: Call, identifier: str, *, param: str = "destination", abroad: bool = False) -> Doc:
    """Return the account to be given money; ``abroad`` when its charge settles in its own country.

    :raises ApiError: it is not connected to the platform, is the platform itself, may not receive transfers, or is
        outside the platform's region.
    """
    doc = call.store.find("account", identifier, call.platform)
    if doc is None or doc["_deleted"] is not None:
        raise missing("destination", identifier, param=param, status=400)
    if identifier in (call.account, call.platform):
        raise refused("You cannot transfer funds to your own account.", param=param)
    if doc["capabilities"].get("transfers") != "active":
        raise refused(NO_CAPABILITY, code="insufficient_capabilities_for_transfer", param=param)
    if not abroad and not may_receive(call.store.get("account", call.platform), doc):
        raise refused(
            f"Funds can't be sent to accounts located in {doc['country']} when the account is under the full service "
            "agreement. To learn more, see https://stripe.com/docs/connect/service-agreement-types.",
            param=param,
        )
    return doc


def _source(call: Call, identifier: str) -> Doc:
    charge = call.store.find("charge", identifier, call.account)
    if charge is None:
        raise missing("charge", identifier, param="source_transaction", status=400)
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise refused(
            f"The charge {identifier} cannot be used as a source_transaction: it has not been captured.",
            param="source_transaction",
        )
    if charge["balance_transaction"] is None:
        raise refused(
            f"The charge {identifier} has no balance transaction yet. Wait for charge.updated before transferring "
            "from it.",
            param="source_transaction",
        )
    return charge


def _take_from_charge(call: Call, charge: Doc, amount: int, currency: str) -> int | None:
    """Check a transfer against its source charge; return when its money is available, None for now."""
    transaction = call.store.get("balance_transaction", charge["balance_transaction"])
    if transaction["currency"] != currency:
        raise refused(
            f"The currency of source_transaction's balance transaction ({transaction['currency']}) must be the same as "
            f"the transfer currency ({currency}).",
            param="currency",
        )
    before = call.store.select("transfer", call.account, [("c = ?", charge["id"])], limit=TRANSFERS_PER_CHARGE_MAX)
    taken = sum(transfer["amount"] - transfer["amount_reversed"] for transfer in before)
    # What was captured, as it settled, is the gross amount that may go on; the fee stays the platform's.
    source_amount = transaction["amount"]
    if taken + amount > source_amount:
        message = (
            "Transfers using this transaction as a source must not exceed the source amount of "
            f"{in_words(source_amount, currency)}."
        )
        if before:
            count = "is already a transfer" if len(before) == 1 else f"are already {len(before)} transfers"
            message += f" (There {count} using this source, amounting to {in_words(taken, currency)}.)"
        raise refused(message)
    return transaction["available_on"] if transaction["available_on"] > call.now else None


def _group_of(call: Call, charge: Doc, given: str | None) -> str:
    """Return the group of a transfer out of a charge; both carry the same from then on."""
    if charge["transfer_group"] is not None:
        if given and given != charge["transfer_group"]:
            raise refused(
                f"The transfer_group must be the source_transaction's own: {charge['transfer_group']}.",
                param="transfer_group",
            )
        return charge["transfer_group"]
    group = given or f"group_{charge['payment_intent']}"
    call.store.edit(charge["id"])["transfer_group"] = group
    return group


def write(
    desk: Desk,
    platform: str,
    destination: str,
    *,
    amount: int,
    currency: str,
    available_on: int | None,
    charge_id: str | None,
    group: str | None,
    description: str | None,
    metadata: dict[str, str],
    source_type: str,
    fee_share: tuple[int, int] | None = None,
) -> Doc:
    """Move the money and write the transfer on both sides.

    ``fee_share`` makes it the transfer of a destination charge: the application fee, as a part of a whole; of what
    arrives, the account pays as much. Nobody is there to refuse one that is exchanged to nothing.

    :raises ApiError: nothing would arrive in the currency of the account.
    """
    identifier = new_id("tr_1")
    arrival = _arrival(desk, destination, transfer=identifier, amount=amount, currency=currency, group=group)
    leaving = balances.record(
        desk,
        platform,
        transaction_type="transfer",
        amount=-amount,
        currency=currency,
        source=identifier,
        description=description,
        available_on=available_on,
    )
    received = exchange_rates.convert(
        desk,
        amount,
        currency,
        exchange_rates.settlement_currency(desk, destination, currency),
        nothing_allowed=fee_share is not None,
    )
    part, whole = fee_share or (0, 1)
    arriving = balances.record(
        desk,
        destination,
        transaction_type="payment",
        amount=received.amount,
        currency=received.currency,
        exchange_rate=received.rate,
        source=arrival["id"],
        application_fee=share(received.amount, of=whole, before=0, after=part, currency=received.currency),
        application=application_fees.application_of(desk, platform),
        available_on=available_on,
    )
    arrival["balance_transaction"] = arriving["id"]
    doc = desk.store.insert(
        "transfer",
        platform,
        {
            "id": identifier,
            "object": "transfer",
            "amount": amount,
            "amount_reversed": 0,
            "balance_transaction": leaving["id"],
            "created": desk.clock.now(),
            "currency": currency,
            "description": description,
            "destination": destination,
            "destination_payment": arrival["id"],
            "livemode": False,
            "metadata": metadata,
            "reversals": {
                "object": "list",
                "data": [],
                "has_more": False,
                "url": f"/v1/transfers/{identifier}/reversals",
            },
            "reversed": False,
            "source_transaction": charge_id,
            "source_type": source_type,
            "transfer_group": group,
        },
    )
    emit(desk, platform, "transfer.created", doc)
    return doc


def _arrival(desk: Desk, account: str, *, transfer: str, amount: int, currency: str, group: str | None) -> Doc:
    """Write the payment that a transfer is on the connected account."""
    return desk.store.insert(
        "charge",
        account,
        {
            "id": new_id("py_1"),
            "object": "charge",
            "amount": amount,
            "amount_captured": amount,
            "amount_refunded": 0,
            "application": None,
            "application_fee": None,
            "application_fee_amount": None,
            "balance_transaction": None,
            "billing_details": {
                "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
                "email": None,
                "name": None,
                "phone": None,
                "tax_id": None,
            },
            "calculated_statement_descriptor": None,
            "captured": True,
            "created": desk.clock.now(),
            "currency": currency,
            "customer": None,
            "description": None,
            "disputed": False,
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "fraud_details": {},
            "livemode": False,
            "metadata": {},
            "on_behalf_of": None,
            "outcome": None,
            "paid": True,
            "payment_intent": None,
            "payment_method": None,
            "payment_method_details": None,
            "receipt_email": None,
            "receipt_number": None,
            "receipt_url": None,
            "refunded": False,
            "review": None,
            "shipping": None,
            "source": None,
            "source_transfer": transfer,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "succeeded",
            "transfer_data": None,
            "transfer_group": group,
        },
    )


def retrieve(call: Call) -> Doc:
    return call.named("transfer")


def update(call: Call) -> Doc:
    params = call.params
    doc = call.store.edit(call.named("transfer")["id"])
    previous: Doc = {}
    changes: Doc = {}
    if "description" in params:
        changes["description"] = params["description"] or None
    if "metadata" in params:
        changes["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    for name, value in changes.items():
        if doc[name] != value:
            previous[name] = doc[name]
            doc[name] = value
    emit(call.desk, call.account, "transfer.updated", doc, previous=previous)
    return doc


def listing(call: Call) -> Doc:
    by = ("transfer_group", "destination")
    return page(call, "transfer", url="/v1/transfers", by=by)
