"""Accounts: platforms and the sellers connected to them, as the first API version shows them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from marketbill.sandbox import banks, payout_schedule
from marketbill.sandbox.call import Call
from marketbill.sandbox.countries import DEFAULT_CURRENCY
from marketbill.sandbox.currencies import checked_currency
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.payment_methods import address
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, invalid, new_id, refused

#: What a fresh account still has to say, by kind of business.
REQUIREMENTS = {
    None: ("business_profile.mcc", "business_profile.url", "business_type", "external_account",
           "tos_acceptance.date", "tos_acceptance.ip"),
    "individual": ("business_profile.mcc", "business_profile.url", "external_account", "individual.dob.day",
                   "individual.dob.month", "individual.dob.year", "individual.first_name", "individual.last_name",
                   "tos_acceptance.date", "tos_acceptance.ip"),
    "company": ("business_profile.mcc", "business_profile.url", "company.name", "company.tax_id", "external_account",
                "tos_acceptance.date", "tos_acceptance.ip"),
}  # fmt: skip

NOTICE = "We recommend building your integration using Accounts v2"

CONTROLLER_BY_TYPE: dict[str, Doc] = {
    "express": {"payer": "application_express", "losses": "application", "collection": "stripe", "board": "express"},
    "custom": {"payer": "application_custom", "losses": "application", "collection": "application", "board": "none"},
    "standard": {"payer": "account", "losses": "stripe", "collection": "stripe", "board": "full"},
}


def requirements(
    *,
    due: tuple[str, ...] = (),
    past_due: tuple[str, ...] = (),
    pending: tuple[str, ...] = (),
    disabled: str | None = None,
) -> Doc:
    return {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": sorted({*due, *past_due}),
        "disabled_reason": disabled,
        "errors": [],
        "eventually_due": sorted({*due, *past_due}),
        "past_due": list(past_due),
        "pending_verification": list(pending),
    }


def controller(*, payer: str, losses: str, collection: str, board: str) -> Doc:
    return {
        "fees": {"payer": payer},
        "is_controller": True,
        "losses": {"payments": losses},
        "requirement_collection": collection,
        "stripe_dashboard": {"type": board},
        "type": "application",
    }


def blank(
    desk: Desk, identifier: str, *, country: str, currency: str, email: str | None, account_type: str, control: Doc
) -> Doc:
    """Return a new account document: nothing enabled, nothing requested."""
    return {
        "id": identifier,
        "object": "account",
        "business_profile": {
            "annual_revenue": None,
            "estimated_worker_count": None,
            "mcc": None,
            "minority_owned_business_designation": None,
            "name": None,
            "product_description": None,
            "specified_commercial_transactions_act_url": None,
            "support_address": None,
            "support_email": None,
            "support_phone": None,
            "support_url": None,
            "url": None,
        },
        "business_type": None,
        "capabilities": {},
        "charges_enabled": False,
        "controller": control,
        "country": country,
        "created": desk.clock.now(),
        "default_currency": currency,
        "details_submitted": False,
        "email": email,
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/accounts/{identifier}/external_accounts",
        },
        "future_requirements": requirements(),
        "metadata": {},
        "payouts_enabled": False,
        "requirements": requirements(),
        "settings": {
            "bacs_debit_payments": {"display_name": None, "service_user_number": None},
            "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
            "card_issuing": {"tos_acceptance": {"date": None, "ip": None}},
            "card_payments": {
                "decline_on": {"avs_failure": False, "cvc_failure": False},
                "statement_descriptor_prefix": None,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "dashboard": {"display_name": None, "timezone": "Etc/UTC"},
            "invoices": {"default_account_tax_ids": None, "hosted_payment_method_save": "offer"},
            "payments": {
                "statement_descriptor": None,
                "statement_descriptor_kana": None,
                "statement_descriptor_kanji": None,
                "statement_descriptor_prefix_kana": None,
                "statement_descriptor_prefix_kanji": None,
            },
            "payouts": {
                "debit_negative_balances": control.get("requirement_collection") != "application",
                "schedule": {"delay_days": 2, "interval": "manual"},
                "statement_descriptor": None,
            },
            "sepa_debit_payments": {},
        },
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": account_type,
        "_deleted": None,
        "_requested": {},
        "_v2": None,
    }


def create_platform(
    desk: Desk, *, country: str, currency: str, name: str, settle: str = "every", connect_reserves: bool = True
) -> Doc:
    """Make an account that owns keys. It is its own platform, ready for everything, on manual payouts.

    ``settle`` tells whether it keeps ``every`` currency or converts all into its ``default`` one. With
    ``connect_reserves`` its balance answers for connected accounts that go below zero.
    """
    identifier = new_id("acct_1", 16)
    doc = blank(
        desk,
        identifier,
        country=country,
        currency=currency,
        email=None,
        account_type="standard",
        control={"type": "account"},
    )
    doc["_connect_reserves"] = connect_reserves
    doc["capabilities"] = {"card_payments": "active", "transfers": "active"}
    doc["_requested"] = dict.fromkeys(doc["capabilities"], desk.clock.now())
    doc.update(charges_enabled=True, payouts_enabled=True, details_submitted=True, _settle=settle)
    doc["business_profile"]["name"] = name
    doc["settings"]["dashboard"]["display_name"] = name
    desk.store.insert("account", identifier, doc)
    routing, number = banks.DEFAULT_NUMBERS.get(country, (None, f"{country}89370400440532013000"))
    banks.add(desk, identifier, country=country, currency=currency, routing=routing, number=number, announce=False)
    return doc


def create(call: Call) -> Doc:
    """Connect an account, by ``controller`` or by the older ``type``; the answer recommends the second version."""
    call.headers["Stripe-Notice"] = NOTICE
    params = call.params
    if call.account != call.platform:
        raise refused("Connected accounts cannot create accounts.")
    given = params.get("controller")
    account_type = params.get("type")
    if given and account_type:
        raise invalid("You cannot provide both `type` and `controller`.", param="controller")
    if given:
        control = controller(
            payer=(given.get("fees") or {}).get("payer", "account"),
            losses=(given.get("losses") or {}).get("payments", "stripe"),
            collection=given.get("requirement_collection", "stripe"),
            board=(given.get("stripe_dashboard") or {}).get("type", "full"),
        )
    else:
        control = controller(**CONTROLLER_BY_TYPE[account_type or "standard"])
    if control["losses"]["payments"] == "stripe" and control["stripe_dashboard"]["type"] != "full" and not account_type:
        raise invalid(
            "When `controller[losses][payments]` is `stripe`, `controller[stripe_dashboard][type]` must be `full`.",
            param="controller[losses][payments]",
        )
    platform = call.store.get("account", call.platform)
    country = checked_country(params.get("country") or platform["country"])
    currency = checked_currency(params.get("default_currency") or DEFAULT_CURRENCY[country], param="default_currency")
    identifier = new_id("acct_1", 16)
    doc = blank(
        call.desk,
        identifier,
        country=country,
        currency=currency,
        email=params.get("email") or None,
        account_type=account_type or ("none" if given else "standard"),
        control=control,
    )
    call.store.insert("account", call.platform, doc)
    start_payouts(call.desk, doc)
    _describe(call, doc, params)
    request(call.desk, doc, params.get("capabilities") or {})
    tell_requirements(doc)
    if params.get("external_account"):
        banks.from_params(call.desk, identifier, params["external_account"])
    return doc


def start_payouts(desk: Desk, doc: Doc) -> None:
    """Have a new connected account paid out by itself, until it or its platform says otherwise."""
    doc["settings"]["payouts"]["schedule"] = payout_schedule.fresh(doc["country"])
    payout_schedule.follow(desk, doc["id"])


def checked_country(given: str, *, param: str = "country") -> str:
    country = given.upper()
    if country not in DEFAULT_CURRENCY:
        raise invalid(
            f"Country '{given}' is unknown. Try using a 2-character alphanumeric country code instead, such as 'US', "
            "'EG', or 'GB'. A full list of country codes is available at https://stripe.com/global.",
            code="country_unsupported",
            param=param,
        )
    return country


def _describe(call: Call, doc: Doc, params: Doc) -> None:
    if "email" in params:
        doc["email"] = params["email"] or None
    if "business_type" in params:
        doc["business_type"] = params["business_type"]
    if "metadata" in params:
        doc["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    if params.get("business_profile"):
        profile = {name: value if value != "" else None for name, value in params["business_profile"].items()}
        if "support_address" in profile:
            profile["support_address"] = address(profile["support_address"])
        doc["business_profile"] = {**doc["business_profile"], **profile}
    if params.get("tos_acceptance"):
        doc["tos_acceptance"] = {**doc["tos_acceptance"], **params["tos_acceptance"]}
    if params.get("default_currency"):
        doc["default_currency"] = checked_currency(params["default_currency"], param="default_currency")
    settings = params.get("settings") or {}
    for part in ("payments", "branding", "card_payments"):
        if settings.get(part):
            doc["settings"] = {**doc["settings"], part: _merged(doc["settings"][part], settings[part])}
    if settings.get("payouts"):
        _describe_payouts(call.desk, doc, settings["payouts"])


def _describe_payouts(desk: Desk, doc: Doc, given: Doc) -> None:
    payouts = doc["settings"]["payouts"]
    schedule = payouts["schedule"]
    if given.get("schedule"):
        schedule = payout_schedule.changed(
            schedule, given["schedule"], country=doc["country"], param="settings[payouts][schedule]"
        )
    rest = {name: value for name, value in given.items() if name != "schedule"}
    doc["settings"] = {**doc["settings"], "payouts": {**_merged(payouts, rest), "schedule": schedule}}
    if given.get("schedule"):
        payout_schedule.follow(desk, doc["id"])


def _merged(present: Doc, given: Doc) -> Doc:
    result = dict(present)
    for name, value in given.items():
        below = result.get(name)
        if isinstance(below, dict) and isinstance(value, dict):
            value = _merged(below, value)
        # An empty text unsets.
        result[name] = None if value == "" else value
    return result


def request(desk: Desk, doc: Doc, capabilities: Doc) -> None:
    """Request or give back capabilities. An onboarded account gets them at once."""
    for name, wish in capabilities.items():
        wanted = (wish or {}).get("requested")
        if wanted is None:
            continue
        known, asked = dict(doc["capabilities"]), dict(doc["_requested"])
        if wanted and name not in known:
            known[name] = "active" if ready(doc) else "inactive"
            asked[name] = desk.clock.now()
        elif not wanted:
            known.pop(name, None)
            asked.pop(name, None)
        doc["capabilities"], doc["_requested"] = known, asked
    doc["charges_enabled"] = doc["capabilities"].get("card_payments") == "active"


def ready(doc: Doc) -> bool:
    """Tell whether everything asked of the account has been given."""
    return doc["details_submitted"] and doc["requirements"]["disabled_reason"] is None


def tell_requirements(doc: Doc) -> None:
    """Set what a fresh account is asked for, less what it already said."""
    kind = doc["business_type"] if doc["business_type"] in REQUIREMENTS else None
    due = REQUIREMENTS[kind]
    doc["requirements"] = requirements(due=due, past_due=due, disabled="requirements.past_due")


def retrieve(call: Call) -> Doc:
    return call.reachable_account()


def retrieve_own(call: Call) -> Doc:
    return call.store.get("account", call.account)


def update(call: Call) -> Doc:
    doc = call.store.edit(call.reachable_account()["id"])
    # Its bank accounts have events of their own.
    before = {name: deepcopy(doc[name]) for name in doc if name[0] != "_" and name != "external_accounts"}
    _describe(call, doc, call.params)
    request(call.desk, doc, call.params.get("capabilities") or {})
    if call.params.get("external_account"):
        banks.from_params(call.desk, doc["id"], call.params["external_account"], default=True)
    previous = {name: value for name, value in before.items() if doc[name] != value}
    if previous:
        emit(call.desk, doc["id"], "account.updated", doc, previous=previous)
    return doc


def delete(call: Call) -> Doc:
    """Delete a connected account whose balances are all zero; it answers as unknown from then on."""
    doc = call.reachable_account()
    if doc["id"] == call.platform:
        raise refused("You cannot delete your own account with its key.")
    check_empty(call, doc)
    call.store.edit(doc["id"])["_deleted"] = "deleted"
    return {"id": doc["id"], "object": "account", "deleted": True}


def check_empty(call: Call, doc: Doc) -> None:
    """Check that an account holds and owes nothing, before it goes.

    :raises ApiError: a balance is not zero.
    """
    held = call.store.db.execute(
        "SELECT 1 FROM balances WHERE account = ? AND (available <> 0 OR pending <> 0)", (doc["id"],)
    ).fetchone()
    if held is not None:
        raise refused(
            "This account cannot be deleted: its balance is not zero. Pay out or reverse what it holds first."
        )


def listing(call: Call) -> Doc:
    where: tuple[tuple[str, Any], ...] = (("coalesce(a, '') = ?", ""), ("id <> ?", call.platform))
    return page(call, "account", account=call.platform, url="/v1/accounts", where=where)
