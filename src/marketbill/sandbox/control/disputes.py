"""Disputes and fraud warnings: what a card holder and the issuer would do."""

from __future__ import annotations

from starlette.routing import Route

from marketbill.sandbox import dispute_fees, disputes, fraud_warnings
from marketbill.sandbox.control.plane import Ask, Plane
from marketbill.sandbox.currencies import checked_currency
from marketbill.sandbox.parameters import compile_table
from marketbill.sandbox.rendering import shown
from marketbill.sandbox.wire import Doc

_DISPUTE = compile_table(f"amount:i reason:({'|'.join(disputes.NETWORK_REASON)}) inquiry:b")
_WARNING = compile_table(f"fraud_type:({'|'.join(fraud_warnings.FRAUD_TYPES)})")
_DECIDE = compile_table("outcome!:(lost|won) amount:i")
_FEES = compile_table(f"currency! received:i countered:i returned:({'|'.join(dispute_fees.RETURNED)})")


def routes(plane: Plane) -> list[Route]:
    return [
        plane.route("charges/{charge}/dispute", "POST", dispute, _DISPUTE),
        plane.route("charges/{charge}/fraud_warning", "POST", warn, _WARNING),
        plane.route("disputes/{dispute}/decide", "POST", decide, _DECIDE),
        plane.route("dispute_fees", "POST", price, _FEES),
    ]


def _charge(ask: Ask) -> tuple[str, str]:
    """Return the charge that the path names, and its account.

    :raises ApiError: there is none.
    """
    identifier = ask.path["charge"]
    return identifier, ask.desk.store.owner_of_named("charge", identifier, param="charge")


def dispute(ask: Ask) -> Doc:
    """Dispute a charge, or an ``amount`` of it, for a ``reason``, as a chargeback or an ``inquiry``."""
    charge, account = _charge(ask)
    with ask.desk.store.transaction():
        doc = disputes.open_dispute(
            ask.desk,
            account,
            charge,
            amount=ask.params.get("amount"),
            reason=ask.params.get("reason", "fraudulent"),
            inquiry=ask.params.get("inquiry", False),
        )
    return shown(ask.desk, doc)


def warn(ask: Ask) -> Doc:
    """Have the issuer report a charge as fraud."""
    charge, account = _charge(ask)
    with ask.desk.store.transaction():
        doc = fraud_warnings.open_warning(ask.desk, account, charge, **ask.params)
    return shown(ask.desk, doc)


def decide(ask: Ask) -> Doc:
    """Have the issuer decide a dispute now, wholly or for the ``amount`` of it that is won."""
    with ask.desk.store.transaction():
        doc = disputes.decide(ask.desk, ask.path["dispute"], ask.params["outcome"], amount=ask.params.get("amount"))
    return shown(ask.desk, doc)


def price(ask: Ask) -> Doc:
    """Set what disputes cost in a currency from now on, and which of it comes back with one that is won."""
    currency = checked_currency(ask.params["currency"])
    changes = {name: value for name, value in ask.params.items() if name != "currency"}
    with ask.desk.store.transaction():
        return dispute_fees.set_fees(ask.desk, currency, changes)
