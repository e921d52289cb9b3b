"""Tax registrations: where an account collects tax, and from when. Without one in a jurisdiction there is no tax."""

from __future__ import annotations

from marketbill.sandbox.call import Call
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.rendering import checked_limit, page
from marketbill.sandbox.tax_places import Place
from marketbill.sandbox.tax_rates import EUROPEAN_UNION, STATES
from marketbill.sandbox.wire import Doc, invalid, missing, new_id

REGISTRATIONS_MAX = 300

CREATE = "active_from! country! country_options!:any expires_at:i"
UPDATE = "active_from expires_at"
LIST = "$page status:(active|all|expired|scheduled)"

#: A registration of one country of the union that collects in all of them.
ONE_STOP_SHOP = ("ioss", "oss_non_union", "oss_union")


def create(call: Call) -> Doc:
    params = call.params
    country = params["country"].upper()
    options = params["country_options"]
    chosen = options.get(country.lower()) if isinstance(options, dict) else None
    path = f"country_options[{country.lower()}]"
    if not isinstance(chosen, dict) or not isinstance(chosen.get("type"), str):
        raise invalid(
            f"The options of the country are missing: give {path}[type], such as `standard`, or `state_sales_tax` "
            "with a state in the US.",
            code="parameter_missing",
            param=f"{path}[type]",
        )
    if country in STATES:
        part = "state" if country == "US" else "province_standard"
        state = chosen.get("state") if country == "US" else (chosen.get(part) or {}).get("province")
        if country == "US" or chosen["type"] == "province_standard":
            _check_state(country, state, f"{path}[{part}]" if country == "US" else f"{path}[{part}][province]")
    registered = len(call.store.select("tax.registration", call.account, limit=REGISTRATIONS_MAX))
    if registered == REGISTRATIONS_MAX:
        raise invalid(f"An account may have at most {REGISTRATIONS_MAX} tax registrations.")
    expires = params.get("expires_at")
    doc = {
        "id": new_id("taxreg"),
        "object": "tax.registration",
        "active_from": _moment(params["active_from"], call.now, "active_from"),
        "country": country,
        "country_options": {country.lower(): chosen},
        "created": call.now,
        "expires_at": expires,
        "livemode": False,
    }
    if expires is not None and expires <= doc["active_from"]:
        raise invalid("`expires_at` must be after `active_from`.", param="expires_at")
    call.store.insert("tax.registration", call.account, doc)
    return _shown(doc, call.now)


def _check_state(country: str, state: object, path: str) -> None:
    if not isinstance(state, str) or state.upper() not in STATES[country]:
        raise invalid(f"Invalid {path}: must be a state of {country}, in two letters", param=path)


def _moment(given: str, now: int, param: str) -> int:
    if given == "now":
        return now
    if not given.isdigit() or len(given) > 12:
        raise invalid(f"Invalid {param}: must be `now` or a time in seconds", param=param)
    return int(given)


def _shown(doc: Doc, now: int) -> Doc:
    return {**doc, "status": _status(doc, now)}


def _status(doc: Doc, now: int) -> str:
    if doc["expires_at"] is not None and doc["expires_at"] <= now:
        return "expired"
    return "active" if doc["active_from"] <= now else "scheduled"


def retrieve(call: Call) -> Doc:
    return _shown(call.named("tax.registration", name="tax registration"), call.now)


def update(call: Call) -> Doc:
    params = call.params
    doc = call.store.edit(call.named("tax.registration", name="tax registration")["id"])
    if params.get("active_from"):
        doc["active_from"] = _moment(params["active_from"], call.now, "active_from")
    if "expires_at" in params:
        doc["expires_at"] = _moment(params["expires_at"], call.now, "expires_at") if params["expires_at"] else None
    if doc["expires_at"] is not None and doc["expires_at"] <= doc["active_from"]:
        raise invalid("`expires_at` must be after `active_from`.", param="expires_at")
    return _shown(doc, call.now)


def listing(call: Call) -> Doc:
    wanted = call.params.get("status", "all")
    if wanted == "all":
        found = page(call, "tax.registration", url="/v1/tax/registrations")
        return {**found, "data": [_shown(doc, call.now) for doc in found["data"]]}
    # A status is a matter of the clock, not of a column; an account has few registrations.
    docs = call.store.select("tax.registration", call.account, limit=REGISTRATIONS_MAX)
    docs = [doc for doc in docs if _status(doc, call.now) == wanted]
    after, limit = call.params.get("starting_after"), checked_limit(call.params)
    if after:
        places = [place for place, doc in enumerate(docs) if doc["id"] == after]
        if not places:
            raise missing("tax registration", after, param="starting_after", status=400)
        docs = docs[places[0] + 1 :]
    data = [_shown(doc, call.now) for doc in docs[:limit]]
    return {"object": "list", "url": "/v1/tax/registrations", "has_more": len(docs) > limit, "data": data}


def collects(desk: Desk, account: str, place: Place, at: int) -> bool:
    """Tell whether an account has a registration for a jurisdiction at a moment."""
    for doc in desk.store.select("tax.registration", account, limit=REGISTRATIONS_MAX):
        if doc["active_from"] > at or (doc["expires_at"] is not None and doc["expires_at"] <= at):
            continue
        options = doc["country_options"][doc["country"].lower()]
        if doc["country"] == place.country:
            state = options.get("state") or (options.get("province_standard") or {}).get("province")
            if state is None or state.upper() == place.state:
                return True
        elif options["type"] in ONE_STOP_SHOP and {place.country, doc["country"]} <= EUROPEAN_UNION:
            return True
    return False
