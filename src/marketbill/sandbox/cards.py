"""Test payment methods: each token stands for a card number that behaves in a known way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from hashlib import sha256
from typing import Any

from marketbill.sandbox.wire import ApiError, Doc, doc_url

EXPIRY_YEAR = 2034
EXPIRY_MONTH = 12


class Challenge(Enum):
    """When a card asks its holder to authenticate."""

    NEVER = "never"
    #: On session always; off session the charge is refused.
    ALWAYS = "always"
    #: Until it has been saved to a customer; then off-session charges pass.
    UNTIL_SAVED = "until_saved"
    #: On session always; off-session charges pass.
    ON_SESSION = "on_session"


class RefundOutcome(Enum):
    """How a card takes a refund."""

    AT_ONCE = "at_once"
    #: Pending at first, a few minutes later succeeded.
    LATE = "late"
    #: Succeeded at first, a few minutes later failed.
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Decline:
    """Why an issuer refuses, as the error body says it."""

    code: str
    decline_code: str
    message: str
    advice_code: str | None = None
    network_decline_code: str | None = None
    network_advice_code: str | None = None
    param: str | None = None
    #: The outcome's reason on the failed charge.
    reason: str | None = None

    def fields(self) -> Doc:
        """Return the parts of an error that are about the decline itself."""
        given: dict[str, Any] = {
            "advice_code": self.advice_code,
            "code": self.code,
            "decline_code": self.decline_code,
            "message": self.message,
            "network_advice_code": self.network_advice_code,
            "network_decline_code": self.network_decline_code,
            "param": self.param,
        }
        return {name: value for name, value in given.items() if value is not None}

    def problem(self, method: Doc, **about: str) -> Doc:
        """Return the last error that an intent shows, with the payment method that was refused."""
        return {
            **self.fields(),
            **about,
            "doc_url": doc_url(self.code),
            "payment_method": dict(method),
            "type": "card_error",
        }

    def error(self, problem: Doc, intent: Doc) -> ApiError:
        """Return the answer to a request of which a :meth:`problem` came; what the refusal wrote stays."""
        said = ("code", "doc_url", "message", "param", "type")
        extra = {name: value for name, value in problem.items() if name not in said}
        return ApiError(
            402,
            self.message,
            code=self.code,
            param=self.param,
            type="card_error",
            executed=True,
            keep_effects=True,
            extra={**extra, intent["object"]: dict(intent)},
        )


@dataclass(frozen=True, slots=True)
class Complaint:
    """How the holder of a card disputes each of its charges."""

    reason: str
    inquiry: bool = False
    #: Into how many disputes the charge is split.
    times: int = 1


_DECLINED = "Your card was declined."

GENERIC = Decline("card_declined", "generic_decline", _DECLINED, "try_again_later", "01")
INSUFFICIENT_FUNDS = Decline(
    "card_declined", "insufficient_funds", "Your card has insufficient funds.", "try_again_later", "51", "02"
)
LOST_CARD = Decline("card_declined", "lost_card", _DECLINED, "do_not_try_again", "41", "01")
STOLEN_CARD = Decline("card_declined", "stolen_card", _DECLINED, "do_not_try_again", "43", "01")
VELOCITY = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    "try_again_later",
    "61",
    "02",
)
EXPIRED = Decline(
    "expired_card", "expired_card", "Your card has expired.", "confirm_card_data", "54", "03", param="exp_month"
)
INCORRECT_CVC = Decline(
    "incorrect_cvc",
    "incorrect_cvc",
    "Your card's security code is incorrect.",
    "confirm_card_data",
    "N7",
    "03",
    param="cvc",
)
PROCESSING = Decline(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
    "try_again_later",
    "06",
)
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)


class Trigger(StrEnum):
    """What the provider asks of a connected account, or blocks, once a card has been charged for it."""

    NEXT_REQUIREMENTS = "next_requirements"
    BLOCK_CHARGES = "block_charges"
    BLOCK_PAYOUTS = "block_payouts"


@dataclass(frozen=True, slots=True)
class TestCard:
    """A card number and how it behaves."""

    number: str
    brand: str = "visa"
    country: str = "US"
    funding: str = "credit"
    decline: Decline | None = None
    challenge: Challenge = Challenge.NEVER
    #: Its charges skip the pending balance.
    bypass_pending: bool = False
    #: The issuer lets it be saved, and refuses only what is charged.
    attaches: bool = False
    #: What the holder does as soon as a charge has succeeded.
    complaint: Complaint | None = None
    #: The issuer reports each of its charges as fraud.
    fraud_record: bool = False
    refund: RefundOutcome = RefundOutcome.AT_ONCE
    trigger: Trigger | None = None

    @property
    def fingerprint(self) -> str:
        return sha256(self.number.encode()).hexdigest()[:16]


_VISA = TestCard("4242424242424242")
_NOT_RECEIVED = TestCard("4000000000002685", complaint=Complaint("product_not_received"))
_INQUIRY = TestCard("4000000000001976", complaint=Complaint("fraudulent", inquiry=True))

#: Card behind each test PaymentMethod token.
CARDS: dict[str, TestCard] = {
    "pm_card_visa": _VISA,
    "pm_card_visa_debit": TestCard("4000056655665556", funding="debit"),
    "pm_card_mastercard": TestCard("5555555555554444", brand="mastercard"),
    "pm_card_mastercard_debit": TestCard("5200828282828210", brand="mastercard", funding="debit"),
    "pm_card_mastercard_prepaid": TestCard("5105105105105100", brand="mastercard", funding="prepaid"),
    "pm_card_amex": TestCard("378282246310005", brand="amex"),
    "pm_card_discover": TestCard("6011111111111117", brand="discover"),
    "pm_card_diners": TestCard("3056930009020004", brand="diners"),
    "pm_card_jcb": TestCard("3566002020360505", brand="jcb", country="JP"),
    "pm_card_unionpay": TestCard("6200000000000005", brand="unionpay", country="CN"),
    "pm_card_us": TestCard("4242424242424242"),
    "pm_card_nl": TestCard("4000005280000002", country="NL"),
    "pm_card_de": TestCard("4000002760000016", country="DE"),
    "pm_card_fr": TestCard("4000002500000003", country="FR"),
    "pm_card_gb": TestCard("4000008260000000", country="GB"),
    "pm_card_bypassPending": TestCard("4000000000000077", bypass_pending=True),
    "pm_card_bypassPendingInternational": TestCard("4000003720000278", country="IE", bypass_pending=True),
    "pm_card_pendingRefund": TestCard("4000000000007726", refund=RefundOutcome.LATE),
    "pm_card_refundFail": TestCard("4000000000005126", refund=RefundOutcome.FAILS),
    "pm_card_visa_chargeDeclined": TestCard("4000000000000002", decline=GENERIC),
    "pm_card_chargeDeclined": TestCard("4000000000000002", decline=GENERIC),
    "pm_card_visa_chargeDeclinedInsufficientFunds": TestCard("4000000000009995", decline=INSUFFICIENT_FUNDS),
    "pm_card_chargeDeclinedInsufficientFunds": TestCard("4000000000009995", decline=INSUFFICIENT_FUNDS),
    "pm_card_visa_chargeDeclinedLostCard": TestCard("4000000000009987", decline=LOST_CARD),
    "pm_card_chargeDeclinedLostCard": TestCard("4000000000009987", decline=LOST_CARD),
    "pm_card_chargeDeclinedStolenCard": TestCard("4000000000009979", decline=STOLEN_CARD),
    "pm_card_chargeDeclinedVelocityLimitExceeded": TestCard("4000000000006975", decline=VELOCITY),
    "pm_card_visa_chargeDeclinedExpiredCard": TestCard("4000000000000069", decline=EXPIRED),
    "pm_card_visa_chargeDeclinedIncorrectCvc": TestCard("4000000000000127", decline=INCORRECT_CVC),
    "pm_card_visa_chargeDeclinedProcessingError": TestCard("4000000000000119", decline=PROCESSING),
    "pm_card_visa_chargeDeclinedStolenCard": TestCard("4000000000009979", decline=STOLEN_CARD),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": TestCard("4000000000006975", decline=VELOCITY),
    "pm_card_chargeDeclinedExpiredCard": TestCard("4000000000000069", decline=EXPIRED),
    "pm_card_chargeDeclinedIncorrectCvc": TestCard("4000000000000127", decline=INCORRECT_CVC),
    "pm_card_chargeDeclinedProcessingError": TestCard("4000000000000119", decline=PROCESSING),
    "pm_card_chargeCustomerFail": TestCard("4000000000000341", decline=GENERIC, attaches=True),
    "pm_card_authenticationRequired": TestCard("4000002760003184", country="DE", challenge=Challenge.ALWAYS),
    "pm_card_authenticationRequiredOnSetup": TestCard(
        "4000002500003155", country="FR", challenge=Challenge.UNTIL_SAVED
    ),
    "pm_card_authenticationRequiredSetupForOffSession": TestCard(
        "4000003800000446", country="HR", challenge=Challenge.ON_SESSION
    ),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": TestCard(
        "4000008260003178", country="GB", challenge=Challenge.ALWAYS, decline=INSUFFICIENT_FUNDS
    ),
    "pm_card_createDispute": TestCard("4000000000000259", complaint=Complaint("fraudulent")),
    "pm_card_createDisputeProductNotReceived": _NOT_RECEIVED,
    "pm_card_createProductNotReceived": _NOT_RECEIVED,
    "pm_card_createDisputeInquiry": _INQUIRY,
    "pm_card_createInquiry": _INQUIRY,
    "pm_card_createMultipleDisputes": TestCard("4000000404000079", complaint=Complaint("fraudulent", times=2)),
    "pm_card_createIssuerFraudRecord": TestCard("4000000000005423", fraud_record=True),
    "pm_card_visa_triggerNextRequirements": TestCard("4000000000004202", trigger=Trigger.NEXT_REQUIREMENTS),
    "pm_card_visa_triggerChargeBlock": TestCard("4000000000004210", trigger=Trigger.BLOCK_CHARGES),
    "pm_card_visa_triggerTransferBlock": TestCard("4000000000004236", trigger=Trigger.BLOCK_PAYOUTS),
    "pm_card_threeDSecure2Required": TestCard("4000000000003220", challenge=Challenge.ALWAYS),
}

#: Card tokens, for ``payment_method[card][token]``: ``tok_visa`` is ``pm_card_visa`` and so on.
TOKENS = {"tok_" + token.removeprefix("pm_card_"): card for token, card in CARDS.items()}

BY_FINGERPRINT = {card.fingerprint: card for card in CARDS.values()}


def card_of(payment_method: Doc) -> TestCard:
    """Return the test card behind a stored payment method."""
    return BY_FINGERPRINT[payment_method["card"]["fingerprint"]]


def method_card(card: TestCard) -> Doc:
    """Return the ``card`` part of a payment method."""
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": EXPIRY_MONTH,
        "exp_year": EXPIRY_YEAR,
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def charged_card(method: Doc, *, amount: int, authenticated: bool) -> Doc:
    """Return the ``payment_method_details`` of a charge made with a card."""
    card = method["card"]
    three_d_secure = None
    if authenticated:
        three_d_secure = {
            "authentication_flow": "challenge",
            "electronic_commerce_indicator": "05",
            "exemption_indicator": None,
            "result": "authenticated",
            "result_reason": None,
            "transaction_id": None,
            "version": "2.2.0",
        }
    return {
        "card": {
            "amount_authorized": amount,
            "authorization_code": None,
            "brand": card["brand"],
            "checks": card["checks"],
            "country": card["country"],
            "electronic_commerce_indicator": None,
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "extended_authorization": {"status": "disabled"},
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": card["last4"],
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "regulated_status": card["regulated_status"],
            "three_d_secure": three_d_secure,
            "transaction_link_id": None,
            "wallet": None,
        },
        "type": "card",
    }
