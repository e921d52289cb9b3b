"""Accounts as the second API version shows them: the same account, by configuration and with ``include``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from marketbill.sandbox import accounts, capabilities
from marketbill.sandbox.call import Call
from marketbill.sandbox.countries import DEFAULT_CURRENCY
from marketbill.sandbox.currencies import checked_currency
from marketbill.sandbox.events import emit
from marketbill.sandbox.onboarding import check_url, make_link
from marketbill.sandbox.parameters import merged_metadata
from marketbill.sandbox.rendering import LIST_LIMIT_MAX
from marketbill.sandbox.wire import Doc, invalid, new_id, refused

INCLUDABLE = (
    "configuration.customer",
    "configuration.merchant",
    "configuration.recipient",
    "defaults",
    "future_requirements",
    "identity",
    "requirements",
)

#: Status here for a capability's status in the first version.
_STATUS = {"active": "active", "pending": "pending", "inactive": "restricted", "unrequested": "unsupported"}
_FEES_PAYER = {"application": "application", "stripe": "account"}


def instant(moment: int) -> str:
    """Return a moment as this API version writes it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def create(call: Call) -> Doc:
    """Connect an account by the configurations it shall have."""
    params = call.params
    if call.account != call.platform:
        raise refused("Connected accounts cannot create accounts.")
    include = _included(params.get("include"))
    configuration = params.get("configuration") or {}
    identity = params.get("identity") or {}
    platform = call.store.get("account", call.platform)
    country = accounts.checked_country(identity.get("country") or platform["country"], param="identity.country")
    defaults = params.get("defaults") or {}
    responsibilities = defaults.get("responsibilities") or {}
    dashboard = params.get("dashboard") or ("express" if configuration else "none")
    losses = responsibilities.get("losses_collector", "application")
    if "recipient" in configuration and losses == "stripe" and "merchant" not in configuration:
        raise invalid(
            "`defaults.responsibilities.losses_collector` must be `application` for an account that only receives "
            "transfers.",
            param="defaults.responsibilities.losses_collector",
        )
    identifier = new_id("acct_1", 16)
    doc = accounts.blank(
        call.desk,
        identifier,
        country=country,
        currency=checked_currency(defaults.get("currency") or DEFAULT_CURRENCY[country], param="defaults.currency"),
        email=params.get("contact_email") or None,
        account_type="none",
        control=accounts.controller(
            payer=_FEES_PAYER.get(responsibilities.get("fees_collector", "application"), "application"),
            losses=losses,
            collection="application" if dashboard == "none" else "stripe",
            board=dashboard,
        ),
    )
    doc["_v2"] = {
        "applied": [],
        "contact_phone": params.get("contact_phone") or None,
        "defaults": {"locales": defaults.get("locales") or [], "profile": defaults.get("profile")},
        "display_name": params.get("display_name") or None,
        "fees_collector": responsibilities.get("fees_collector", "application"),
        "identity": {**identity, "country": country.lower()},
    }
    doc["metadata"] = merged_metadata({}, params.get("metadata") or {})
    doc["business_type"] = identity.get("entity_type")
    doc["business_profile"]["name"] = params.get("display_name") or None
    call.store.insert("account", call.platform, doc)
    accounts.start_payouts(call.desk, doc)
    accounts.tell_requirements(doc)
    _apply(call, doc, configuration)
    return view(doc, include)


def _apply(call: Call, doc: Doc, configuration: Doc) -> None:
    """Add or drop configurations and request the capabilities they name."""
    extra = doc["_v2"]
    applied = set(extra["applied"])
    wishes: Doc = {}
    for name, given in configuration.items():
        given = given or {}
        if given.get("applied") is False:
            applied.discard(name)
        else:
            applied.add(name)
        capabilities = given.get("capabilities") or {}
        if name == "recipient":
            wish = (capabilities.get("stripe_balance") or {}).get("stripe_transfers")
            if wish:
                wishes["transfers"] = wish
        elif name == "merchant" and capabilities.get("card_payments"):
            wishes["card_payments"] = capabilities["card_payments"]
    doc["_v2"] = {**extra, "applied": sorted(applied)}
    accounts.request(call.desk, doc, wishes)


def _included(given: Any) -> frozenset[str]:
    for position, name in enumerate(given or []):
        if name not in INCLUDABLE:
            raise invalid(
                f"Invalid include: {name}. It must be one of {', '.join(INCLUDABLE)}", param=f"include[{position}]"
            )
    return frozenset(given or [])


def _extra(doc: Doc) -> Doc:
    """Return what only this version knows of an account; for one made by the first version, what follows from it."""
    if doc["_v2"] is not None:
        return doc["_v2"]
    capability_of = {"merchant": "card_payments", "recipient": "transfers"}
    applied = [name for name, capability in capability_of.items() if capability in doc["capabilities"]]
    payer = doc["controller"].get("fees", {}).get("payer", "account")
    return {
        "applied": applied,
        "contact_phone": None,
        "defaults": {"locales": [], "profile": None},
        "display_name": doc["business_profile"]["name"],
        "fees_collector": "stripe" if payer == "account" else payer,
        "identity": {"country": doc["country"].lower(), "entity_type": doc["business_type"]},
    }


def view(doc: Doc, include: frozenset[str]) -> Doc:
    """Return an account with the parts that were asked for."""
    extra = _extra(doc)
    board = doc["controller"].get("stripe_dashboard", {}).get("type", "full")
    result: Doc = {
        "id": doc["id"],
        "object": "v2.core.account",
        "applied_configurations": extra["applied"],
        "closed": doc["_deleted"] is not None,
        "configuration": None,
        "contact_email": doc["email"],
        "contact_phone": extra["contact_phone"],
        "created": instant(doc["created"]),
        "dashboard": board,
        "defaults": None,
        "display_name": extra["display_name"],
        "future_requirements": None,
        "identity": None,
        "livemode": False,
        "metadata": doc["metadata"],
        "requirements": None,
    }
    configurations: Doc = {}
    for name in ("customer", "merchant", "recipient"):
        if f"configuration.{name}" in include:
            configurations[name] = _configuration(doc, name) if name in extra["applied"] else None
    if configurations:
        result["configuration"] = configurations
    if "defaults" in include:
        result["defaults"] = {
            "currency": doc["default_currency"],
            "locales": extra["defaults"]["locales"],
            "profile": extra["defaults"]["profile"],
            "responsibilities": {
                "fees_collector": extra["fees_collector"],
                "losses_collector": doc["controller"].get("losses", {}).get("payments", "stripe"),
                "requirements_collector": doc["controller"].get("requirement_collection", "stripe"),
            },
        }
    if "identity" in include:
        result["identity"] = extra["identity"]
    if "requirements" in include:
        result["requirements"] = _requirements(doc)
    if "future_requirements" in include:
        result["future_requirements"] = {"entries": []}
    return _without_nothing(result)


def _without_nothing(value: Any) -> Any:
    """Leave out what has no value: this version of the API has no nulls."""
    if isinstance(value, dict):
        return {name: _without_nothing(item) for name, item in value.items() if item is not None}
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value


def _configuration(doc: Doc, name: str) -> Doc:
    if name == "recipient":
        transfers = _capability(doc, "transfers")
        payouts = _capability(doc, "transfers")
        if doc["capabilities"].get("transfers") == "active" and not doc["payouts_enabled"]:
            payouts = {"status": "restricted", "status_details": [_PROVIDE_INFO]}
        balance: Doc = {"payouts": payouts, "stripe_transfers": transfers}
        return {"applied": True, "capabilities": {"stripe_balance": balance if transfers else None}}
    if name == "merchant":
        return {"applied": True, "capabilities": {"card_payments": _capability(doc, "card_payments")}}
    return {"applied": True, "capabilities": {}}


_PROVIDE_INFO = {"code": "requirements_past_due", "resolution": "provide_info"}


def _capability(doc: Doc, name: str) -> Doc | None:
    if name not in doc["capabilities"]:
        return None
    status = _STATUS[doc["capabilities"][name]]
    return {"status": status, "status_details": [_PROVIDE_INFO] if status == "restricted" else []}


def _requirements(doc: Doc) -> Doc:
    past_due = doc["requirements"]["past_due"]
    if not past_due:
        return {"entries": []}
    held = [("recipient", "stripe_balance.stripe_transfers")] if "transfers" in doc["capabilities"] else []
    deadline = {"status": "past_due"}
    return {
        "entries": [
            {
                "awaiting_action_from": "user",
                "description": name,
                "errors": [],
                "impact": {
                    "restricts_capabilities": [
                        {"capability": capability, "configuration": configuration, "deadline": deadline}
                        for configuration, capability in held
                    ]
                },
                "minimum_deadline": deadline,
                "requested_reasons": [{"code": "routine_onboarding"}],
            }
            for name in past_due
        ],
        "summary": {"minimum_deadline": deadline},
    }


def retrieve(call: Call) -> Doc:
    closed = call.store.find("account", call.path["account"], call.platform)
    if closed is not None and closed["_deleted"] == "closed":
        return view(closed, _included(call.params.get("include")))
    return view(call.reachable_account(), _included(call.params.get("include")))


def close(call: Call) -> Doc:
    """Close an account for good: it can still be read here, and does nothing any more."""
    doc = call.reachable_account()
    if doc["id"] == call.platform:
        raise refused("You cannot close your own account with its key.")
    applied = call.params.get("applied_configurations")
    if applied is not None and sorted(applied) != _extra(doc)["applied"]:
        raise invalid(
            "`applied_configurations` must name every configuration that the account has.",
            param="applied_configurations",
        )
    accounts.check_empty(call, doc)
    doc = call.store.edit(doc["id"])
    doc["_v2"] = {**_extra(doc), "applied": []}
    doc["_deleted"] = "closed"
    return view(doc, frozenset())


def update(call: Call) -> Doc:
    params = call.params
    include = _included(params.get("include"))
    doc = call.store.edit(call.reachable_account()["id"])
    before = {name: doc[name] for name in ("email", "metadata", "capabilities", "business_profile")}
    extra = dict(_extra(doc))
    for name in ("contact_phone", "display_name"):
        if name in params:
            extra[name] = params[name] or None
    identity = params.get("identity") or {}
    if identity:
        extra["identity"] = {**extra["identity"], **identity}
        doc["business_type"] = extra["identity"].get("entity_type")
    defaults = params.get("defaults") or {}
    if defaults.get("currency"):
        doc["default_currency"] = checked_currency(defaults["currency"], param="defaults.currency")
    if "locales" in defaults or "profile" in defaults:
        extra["defaults"] = {**extra["defaults"], **{n: defaults[n] for n in ("locales", "profile") if n in defaults}}
    doc["_v2"] = extra
    if "contact_email" in params:
        doc["email"] = params["contact_email"] or None
    if "display_name" in params:
        doc["business_profile"] = {**doc["business_profile"], "name": params["display_name"] or None}
    if "metadata" in params:
        doc["metadata"] = merged_metadata(doc["metadata"], params["metadata"])
    _apply(call, doc, params.get("configuration") or {})
    capabilities.tell(call.desk, doc, before["capabilities"])
    previous = {name: value for name, value in before.items() if doc[name] != value}
    emit(call.desk, doc["id"], "account.updated", doc, previous=previous)
    return view(doc, include)


def listing(call: Call) -> Doc:
    """List connected accounts, newest first; the page token is the last account of the page before."""
    limit = call.params.get("limit", 10)
    if not 1 <= limit <= LIST_LIMIT_MAX:
        raise invalid(f"limit must be between 1 and {LIST_LIMIT_MAX}", param="limit")
    where: list[tuple[str, Any]] = [("coalesce(a, '') = ?", ""), ("id <> ?", call.platform)]
    token = call.params.get("page")
    if token:
        position = call.store.position("account", token, call.platform)
        if position is None:
            raise invalid("Invalid page token", param="page")
        where.append(("seq < ?", position))
    found = call.store.select("account", call.platform, where, limit=limit + 1)
    more = len(found) > limit
    found = found[:limit]
    following = f"/v2/core/accounts?limit={limit}&page={found[-1]['id']}" if more else None
    return {
        "data": [view(doc, frozenset()) for doc in found],
        "next_page_url": following,
        "previous_page_url": None,
    }


def create_link(call: Call) -> Doc:
    params = call.params
    doc = call.reachable_account(params["account"])
    use_case = params["use_case"]
    kind = use_case["type"]
    terms = use_case.get(kind)
    if not terms:
        raise invalid(f"use_case.{kind} is required", code="parameter_missing", param=f"use_case.{kind}")
    check_url(terms["refresh_url"], param=f"use_case.{kind}.refresh_url")
    return_url = terms.get("return_url") or terms["refresh_url"]
    check_url(return_url, param=f"use_case.{kind}.return_url")
    url, created, expires_at = make_link(call.desk, doc["id"], refresh_url=terms["refresh_url"], return_url=return_url)
    return {
        "object": "v2.core.account_link",
        "account": doc["id"],
        "created": instant(created),
        "expires_at": instant(expires_at),
        "livemode": False,
        "url": url,
        "use_case": use_case,
    }
