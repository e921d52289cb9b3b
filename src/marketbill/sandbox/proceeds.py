"""Proceeds: who gets the money of a charge, as its payment intent says.

A destination charge sends it on by a transfer of its own, wholly with an application fee back or only in part. A direct
charge, made on the connected account, leaves the application fee to the platform. ``on_behalf_of`` makes a connected
account the merchant: its country, currency, fees and delay apply.
"""

from __future__ import annotations

from marketbill.sandbox import application_fees, balances, exchange_rates, transfers
from marketbill.sandbox.call import Call
from marketbill.sandbox.currencies import check_positive, check_step, in_words
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.exchange_rates import Converted
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.proportion import share
from marketbill.sandbox.wire import Doc, invalid, missing, refused

NO_DESTINATION = (
    "Can only apply an application_fee_amount when the PaymentIntent is attempting a direct payment (using an OAuth "
    "key or Stripe-Account header) or destination payment (using `transfer_data[destination]`)."
)


def check_acting(call: Call) -> None:
    """Refuse a direct charge on an account that may not take cards.

    :raises ApiError: the acting account is connected and its ``card_payments`` capability is not active.
    """
    account = call.store.get("account", call.account)
    if call.account != call.platform and account["capabilities"].get("card_payments") != "active":
        raise refused(
            f"The account {call.account} cannot make charges: its card_payments capability is "
            f"{account['capabilities'].get('card_payments', 'unrequested')}.",
            code="insufficient_capabilities",
        )


def terms(call: Call, params: Doc, *, amount: int, currency: str, present: Doc | None = None) -> Doc:
    """Return the intent's fields about its proceeds, from parameters and what an existing intent has already.

    :raises ApiError: an unknown or unready account, a fee without someone to take it from, or parts above the whole.
    """
    present = present or {"application_fee_amount": None, "on_behalf_of": None, "transfer_data": None}
    fields = {name: present[name] for name in ("application_fee_amount", "on_behalf_of", "transfer_data")}
    if params.get("transfer_data"):
        abroad = bool(params.get("on_behalf_of") or fields["on_behalf_of"])
        fields["transfer_data"] = _transfer_data(call, params["transfer_data"], fields["transfer_data"], abroad=abroad)
    if "application_fee_amount" in params:
        given = params["application_fee_amount"]
        fields["application_fee_amount"] = None if given == "" else given
    if params.get("on_behalf_of"):
        fields["on_behalf_of"] = _merchant(call, params["on_behalf_of"])
    fee, sent = fields["application_fee_amount"], fields["transfer_data"]
    if fee is not None:
        if fee < 0:
            raise invalid(
                "This value must be greater than or equal to 0.",
                code="parameter_invalid_integer",
                param="application_fee_amount",
            )
        check_step(fee, currency, param="application_fee_amount")
        if sent is None and call.account == call.platform:
            raise invalid(NO_DESTINATION, param="application_fee_amount")
        if sent is not None and "amount" in sent:
            raise invalid(
                "You may only specify one of these parameters: application_fee_amount, transfer_data[amount].",
                param="application_fee_amount",
            )
        _check_part(fee, amount, currency, param="application_fee_amount")
    if sent is not None and "amount" in sent:
        check_positive(sent["amount"], param="transfer_data[amount]")
        check_step(sent["amount"], currency, param="transfer_data[amount]")
        _check_part(sent["amount"], amount, currency, param="transfer_data[amount]")
    if sent is not None:
        # What the destination cannot be given in its currency is refused now, not when the charge settles.
        there = exchange_rates.settlement_currency(call.desk, sent["destination"], currency)
        exchange_rates.convert(call.desk, sent.get("amount", amount), currency, there)
    return fields


def _transfer_data(call: Call, given: Doc, present: Doc | None, *, abroad: bool) -> Doc:
    if present is None:
        if "destination" not in given:
            raise invalid(
                "The transfer_data of a PaymentIntent without a destination cannot be changed.", param="transfer_data"
            )
        transfers.checked_destination(call, given["destination"], param="transfer_data[destination]", abroad=abroad)
    changed = {**(present or {}), **{name: value for name, value in given.items() if value != ""}}
    if changed.get("metadata") is not None:
        changed["metadata"] = merged_metadata((present or {}).get("metadata") or {}, given.get("metadata") or {})
    return changed


def _merchant(call: Call, identifier: str) -> str:
    doc = call.store.find("account", identifier, call.platform)
    if doc is None or doc["_deleted"] is not None:
        raise missing("account", identifier, param="on_behalf_of", status=400)
    if call.account != call.platform:
        raise refused("A direct charge cannot be made on behalf of another account.", param="on_behalf_of")
    if doc["capabilities"].get("card_payments") != "active":
        raise refused(
            f"The account {identifier} referenced in the 'on_behalf_of' parameter is missing the required capability: "
            "card_payments. It must be active.",
            param="on_behalf_of",
        )
    return identifier


def _check_part(part: int, whole: int, currency: str, *, param: str) -> None:
    if part > whole:
        raise invalid(
            f"The {param} ({in_words(part, currency)}) must not be greater than the charge amount "
            f"({in_words(whole, currency)}).",
            code="amount_too_large",
            param=param,
        )


def kept_of_direct(desk: Desk, account: str, charge: Doc, settled: Converted) -> int:
    """Return the platform's fee of a direct charge as it settles, at most all that was captured; else 0."""
    wanted = charge["application_fee_amount"]
    if not wanted or desk.platform_of(account) == account:
        return 0
    captured = charge["amount_captured"]
    return share(settled.amount, of=captured, before=0, after=min(wanted, captured), currency=settled.currency)


def platform_pays(desk: Desk, account: str) -> bool:
    """Return whether the provider's fee of an account's direct charges is its platform's to pay."""
    payer = (desk.store.get("account", account)["controller"].get("fees") or {}).get("payer")
    return desk.platform_of(account) != account and payer == "application"


def distribute(desk: Desk, account: str, charge: Doc, transaction: Doc, *, provider_fee: int, kept: int) -> None:
    """Give everybody their part of a charge that just settled by ``transaction``.

    ``provider_fee`` is what the transaction did not pay itself; ``kept`` what it left to the platform.
    """
    platform = desk.platform_of(account)
    if provider_fee:
        currency = transaction["currency"]
        cost = exchange_rates.convert(
            desk,
            -provider_fee,
            currency,
            exchange_rates.settlement_currency(desk, platform, currency),
            nothing_allowed=True,
        )
        balances.record(
            desk,
            platform,
            transaction_type="stripe_fee",
            amount=cost.amount,
            currency=cost.currency,
            exchange_rate=cost.rate,
            source=None,
            description=f"Stripe processing fees for {charge['id']}",
        )
    if kept:
        fee = application_fees.collect(
            desk,
            charge,
            amount=kept,
            currency=transaction["currency"],
            paid=kept,
            transaction=transaction,
            originating=None,
        )
        charge["application_fee"] = fee["id"]
    if charge["transfer_data"] is not None:
        _send(desk, account, charge, transaction)


def _send(desk: Desk, platform: str, charge: Doc, transaction: Doc) -> None:
    """Transfer the proceeds of a destination charge and take the application fee of them."""
    sent, captured = charge["transfer_data"], charge["amount_captured"]
    settled, currency = transaction["amount"], transaction["currency"]
    part = captured if sent["amount"] is None else min(sent["amount"], captured)
    fee_part = min(charge["application_fee_amount"] or 0, captured)
    intent = desk.store.get("payment_intent", charge["payment_intent"])["transfer_data"]
    if charge["transfer_group"] is None:
        charge["transfer_group"] = f"group_{charge['payment_intent']}"
    transfer = transfers.write(
        desk,
        platform,
        sent["destination"],
        amount=share(settled, of=captured, before=0, after=part, currency=currency),
        currency=currency,
        available_on=transaction["available_on"] if transaction["available_on"] > desk.clock.now() else None,
        charge_id=charge["id"],
        group=charge["transfer_group"],
        description=intent.get("description"),
        metadata=intent.get("metadata") or {},
        source_type="card",
        fee_share=(fee_part, captured),
    )
    charge["transfer"] = transfer["id"]
    arrival = desk.store.edit(transfer["destination_payment"])
    payment = intent.get("payment_data") or {}
    arrival["description"] = payment.get("description") or None
    arrival["metadata"] = merged_metadata({}, payment.get("metadata") or {})
    arriving = desk.store.get("balance_transaction", arrival["balance_transaction"])
    if fee_part:
        fee = application_fees.collect(
            desk,
            arrival,
            amount=share(settled, of=captured, before=0, after=fee_part, currency=currency),
            currency=currency,
            paid=arriving["fee"],
            transaction=arriving,
            originating=charge["id"],
        )
        for doc in (arrival, charge):
            doc["application_fee"] = fee["id"]
        arrival["application_fee_amount"] = fee["amount"]
