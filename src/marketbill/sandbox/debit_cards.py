"""Debit cards that payouts go to, in place of a bank account: made from test tokens only."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from marketbill.sandbox.cards import EXPIRY_MONTH, EXPIRY_YEAR
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.wire import Doc, new_id


@dataclass(frozen=True, slots=True)
class DebitCard:
    """A test card, what a payout to it ends in (None: it is paid), and whether it takes instant ones."""

    number: str
    failure: str | None = None
    instant: bool = True

    @property
    def fingerprint(self) -> str:
        return sha256(self.number.encode()).hexdigest()[:16]


DEBIT_CARDS = {
    "tok_visa_debit": DebitCard("4000056655665556"),
    "tok_visa_debit_us_transferSuccess": DebitCard("4000056655665564"),
    "tok_visa_debit_us_transferFail": DebitCard("4000056655665572", failure="could_not_process"),
    "tok_visa_debit_us_instantPayoutUnsupported": DebitCard("4000056755665555", instant=False),
}
FAILURES = {card.fingerprint: card.failure for card in DEBIT_CARDS.values() if card.failure is not None}


def document(token: str, *, account: str, metadata: Any) -> Doc:
    """Return the external account that the card behind a token is."""
    card = DEBIT_CARDS[token]
    return {
        "id": new_id("card_1"),
        "object": "card",
        "account": account,
        "address_city": None,
        "address_country": None,
        "address_line1": None,
        "address_line1_check": None,
        "address_line2": None,
        "address_state": None,
        "address_zip": None,
        "address_zip_check": None,
        "allow_redisplay": None,
        "available_payout_methods": ["standard", "instant"] if card.instant else ["standard"],
        "brand": "Visa",
        "country": "US",
        "currency": "usd",
        "cvc_check": None,
        "default_for_currency": False,
        "dynamic_last4": None,
        "exp_month": EXPIRY_MONTH,
        "exp_year": EXPIRY_YEAR,
        "fingerprint": card.fingerprint,
        "funding": "debit",
        "last4": card.number[-4:],
        "metadata": merged_metadata({}, metadata or {}),
        "name": None,
        "networks": {"preferred": None},
        "regulated_status": "unregulated",
        "status": "new",
        "tokenization_method": None,
    }
