"""Balance settings: how an account's own balance is paid out (the provider's new place for the payout schedule)."""

from __future__ import annotations

from copy import deepcopy

from marketbill.sandbox import payout_schedule
from marketbill.sandbox.call import Call
from marketbill.sandbox.events import emit
from marketbill.sandbox.wire import Doc

UPDATE = """
    payments:{
        debit_negative_balances:b
        payouts:{
            automatic_transfer_rules_by_currency:later minimum_balance_by_currency:later
            schedule:{
                interval:(daily|manual|monthly|weekly) monthly_payout_days:[i]
                weekly_payout_days:[(friday|monday|thursday|tuesday|wednesday)]
            }
            statement_descriptor
        }
        settlement_timing:{delay_days_override:any start_of_day:later}
    }
"""


def retrieve(call: Call) -> Doc:
    return _settings(call.store.get("account", call.account))


def update(call: Call) -> Doc:
    """Change the payout settings of the acting account; the account's own object shows the same."""
    asked = call.params.get("payments") or {}
    doc = call.store.edit(call.account)
    before = deepcopy(_settings(doc)["payments"])
    payouts = doc["settings"]["payouts"]
    if "debit_negative_balances" in asked:
        payouts["debit_negative_balances"] = asked["debit_negative_balances"]
    changes = asked.get("payouts") or {}
    given = dict(changes.get("schedule") or {})
    override = (asked.get("settlement_timing") or {}).get("delay_days_override")
    if override is not None:
        # An empty text goes back to the least delay.
        param = "payments[settlement_timing][delay_days_override]"
        given["delay_days"] = payout_schedule.checked_delay(override or "minimum", param=param)
        doc["_delay_override"] = given["delay_days"] if override else None
    payouts["schedule"] = payout_schedule.changed(
        payouts["schedule"], given, country=doc["country"], param="payments[payouts][schedule]"
    )
    if "statement_descriptor" in changes:
        payouts["statement_descriptor"] = changes["statement_descriptor"] or None
    if given:
        payout_schedule.follow(call.desk, call.account)
    result = _settings(doc)
    previous = {name: value for name, value in before.items() if result["payments"][name] != value}
    emit(call.desk, call.account, "balance_settings.updated", result, previous={"payments": previous})
    return result


def _settings(account: Doc) -> Doc:
    payouts = account["settings"]["payouts"]
    schedule = payouts["schedule"]
    days = account.get("_delay_override")
    override = {} if days is None else {"delay_days_override": days}
    return {
        "object": "balance_settings",
        "payments": {
            "debit_negative_balances": payouts["debit_negative_balances"],
            "payouts": {
                # Empty, for the Python library cannot read a null here.
                "automatic_transfer_rules_by_currency": {},
                "minimum_balance_by_currency": None,
                "schedule": _schedule(schedule),
                "statement_descriptor": payouts["statement_descriptor"],
                "status": "enabled" if account["payouts_enabled"] else "disabled",
            },
            "settlement_timing": {"delay_days": schedule["delay_days"], **override, "start_of_day": None},
        },
    }


def _schedule(schedule: Doc) -> Doc:
    """Return a schedule as these settings show it: by lists of days, also where the account says one by its anchor."""
    shown: Doc = {"interval": schedule["interval"]}
    for interval in ("monthly", "weekly"):
        days = schedule.get(f"{interval}_payout_days") or [
            day
            for day in (schedule.get(f"{interval}_anchor"),)
            if day is not None and day not in ("saturday", "sunday")
        ]
        if days:
            shown[f"{interval}_payout_days"] = days
    return shown
