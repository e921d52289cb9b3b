"""Balance settings: how an account's own balance is paid out (the provider's new place for the payout schedule)."""

from __future__ import annotations

from marketbill.sandbox.call import Call
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
        settlement_timing:{delay_days_override:later start_of_day:later}
    }
"""


def retrieve(call: Call) -> Doc:
    return _settings(call.store.get("account", call.account))


def update(call: Call) -> Doc:
    """Change the payout settings of the acting account; the account's own object shows the same."""
    asked = call.params.get("payments") or {}
    doc = call.store.edit(call.account)
    payouts = doc["settings"]["payouts"]
    if "debit_negative_balances" in asked:
        payouts["debit_negative_balances"] = asked["debit_negative_balances"]
    changes = asked.get("payouts") or {}
    payouts["schedule"] = {**payouts["schedule"], **(changes.get("schedule") or {})}
    if "statement_descriptor" in changes:
        payouts["statement_descriptor"] = changes["statement_descriptor"]
    return _settings(doc)


def _settings(account: Doc) -> Doc:
    payouts = account["settings"]["payouts"]
    schedule = payouts["schedule"]
    return {
        "object": "balance_settings",
        "payments": {
            "debit_negative_balances": payouts["debit_negative_balances"],
            "payouts": {
                "automatic_transfer_rules_by_currency": None,
                "minimum_balance_by_currency": None,
                "schedule": {
                    name: schedule[name]
                    for name in ("interval", "monthly_payout_days", "weekly_payout_days")
                    if name in schedule
                },
                "statement_descriptor": payouts["statement_descriptor"],
                "status": "enabled" if account["payouts_enabled"] else "disabled",
            },
            "settlement_timing": {"delay_days": schedule["delay_days"], "start_of_day": None},
        },
    }
