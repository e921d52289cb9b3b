"""A fee schedule as a document: the one form of files, of the API and of what is kept, and the way to the pure rules.

Amounts are texts in major units ("0.30") and percentages are texts ("8.5"), so that no binary fraction comes near. Keys
are closed: what is misspelt is refused with the path to it, and never passed over. Whether the rules can stand beside
one another is for `rules.fees` to say.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from marketbill.clock import rfc3339
from marketbill.errors import InvalidInput, Path
from marketbill.ids import parse_id
from marketbill.money import decimal_text
from marketbill.platforms.fee_field import Field, FieldMalformed, FieldMissing, plain
from marketbill.rules.fees.conditions import ALWAYS, Conditions, ValueBand
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import (
    AboveLine,
    FeeBase,
    FeeKind,
    FeePayer,
    FeeRule,
    Period,
    Schedule,
    Tier,
    TierMode,
    Tiers,
    Unmatched,
)

RULES_MAX = 500
STEPS_MAX = 50

_SCHEDULE = ("name", "required", "unmatched", "above_line", "rules")
_RULE = (
    "name", "stack", "kind", "payer", "account", "recipient", "position", "when", "percent", "tiers", "fixed",
    "fixed_scope", "minimum", "maximum", "base", "tax_mode", "holds_from", "holds_until", "based_on", "actual_share",
)  # fmt: skip
_SETS = (
    "sellers", "seller_groups", "categories", "products", "channels", "seller_countries", "buyer_countries",
    "currencies", "payment_methods",
)  # fmt: skip
_REQUIRED = frozenset({"commission"})
_CAPITAL = re.compile("[A-Z]")


def schedule_of_document(document: object, *, id: str, version: int, path: Path = ()) -> Schedule:
    """The pure schedule that a document describes. `path` is where the document itself stands.

    Raises InvalidInput (one class a refusal, see `fee_field`) naming the path of the first wrong field, and what the
    rules refuse when they are made.
    """
    root = Field(document, path)
    fields = root.keys(_SCHEDULE)
    listed = list(fields["rules"].items())
    if not listed:
        raise FieldMissing(path=fields["rules"].path, right="list at least one rule")
    if len(listed) > RULES_MAX:
        raise FieldMalformed(f"{len(listed)} rules", path=fields["rules"].path, right=f"at most {RULES_MAX} rules")
    return Schedule(
        id=id,
        version=version,
        name=fields["name"].text(),
        rules=tuple(_rule(one) for one in listed),
        required=fields["required"].texts() if fields["required"].is_there else _REQUIRED,
        unmatched=fields["unmatched"].word(Unmatched, Unmatched.REFUSE),
        above_line=fields["above_line"].word(AboveLine, AboveLine.BOUND),
    )


def document_of(schedule: Schedule) -> dict[str, Any]:
    """The one document of a schedule: keys that say nothing more than their default are left out."""
    document: dict[str, Any] = {"name": schedule.name}
    if schedule.required != _REQUIRED:
        document["required"] = sorted(schedule.required)
    if schedule.unmatched is not Unmatched.REFUSE:
        document["unmatched"] = schedule.unmatched.value
    if schedule.above_line is not AboveLine.BOUND:
        document["above_line"] = schedule.above_line.value
    return document | {"rules": [_rule_document(rule) for rule in schedule.rules]}


def place_of(path: Path) -> Path:
    """The place in a document of a field that the rules name: ("rules", "0", "tiers", "1", "start", "EUR") is
    rules.0.tiers.steps.1.from.EUR."""
    words: list[str] = []
    for word in path:
        if words[-1:] == ["tiers"]:
            words.append("steps")
        if words[-2:-1] == ["steps"] and word == "start":
            words.append("from")
        else:
            words.append(_CAPITAL.sub(lambda found: f"_{found[0].lower()}", word) if word[:1].islower() else word)
    return tuple(words)


def _rule(field: Field) -> FeeRule:
    of = field.keys(_RULE)
    based_on = of["based_on"].text() if of["based_on"].is_there else None
    recipient = of["recipient"].text() if of["recipient"].is_there else None
    if recipient is not None:
        parse_id("seller", recipient, path=of["recipient"].path)
    taxed = of["kind"].word(FeeKind, FeeKind.PLATFORM) is FeeKind.PLATFORM
    has_rate = of["percent"].is_there or of["tiers"].is_there
    if not has_rate and not of["fixed"].is_there:
        raise FieldMissing(path=of["percent"].path, right="a rule has a percent, tiers or a fixed amount")
    return _made(
        field.path,
        lambda: FeeRule(
            name=of["name"].text(),
            stack=of["stack"].text() if of["stack"].is_there else "commission",
            kind=of["kind"].word(FeeKind, FeeKind.PLATFORM),
            payer=of["payer"].word(FeePayer, FeePayer.SELLER),
            account=of["account"].text() if of["account"].is_there else None,
            recipient=recipient,
            position=of["position"].whole(),
            when=_when(of["when"]),
            percent=of["percent"].percent() if of["percent"].is_there else Decimal(0),
            tiers=_tiers(of["tiers"]),
            fixed=of["fixed"].amounts(),
            fixed_scope=of["fixed_scope"].word(FixedScope, FixedScope.ORDER),
            minimum=of["minimum"].amounts(),
            maximum=of["maximum"].amounts(),
            # What a rate is taken of, and whether tax lies within a fee, is a choice: there is no usual answer.
            base=of["base"].word(FeeBase, None if has_rate and based_on is None else FeeBase.GROSS),
            tax_mode=of["tax_mode"].word(FeeTaxMode, None if taxed else FeeTaxMode.EXCLUSIVE),
            holds_from=of["holds_from"].instant(),
            holds_until=of["holds_until"].instant(),
            based_on=based_on,
            actual_share=of["actual_share"].percent() if of["actual_share"].is_there else None,
        ),
    )


def _made(path: Path, make: Callable[[], FeeRule]) -> FeeRule:
    """What the rules themselves refuse names the field within the rule; the document's own refusals are complete."""
    try:
        return make()
    except InvalidInput as error:
        if error.path[: len(path)] != path:
            error.path = (*path, *error.path)
        raise


def _when(field: Field) -> Conditions:
    if not field.is_there:
        return ALWAYS
    of = field.keys((*_SETS, "values"))
    for item in of["sellers"].items():
        parse_id("seller", item.text(), path=item.path)
    return Conditions(
        **{name: of[name].texts() for name in _SETS}, values=tuple(_band(item) for item in of["values"].items())
    )


def _band(field: Field) -> ValueBand:
    of = field.keys(("currency", "from", "until"))
    currency = of["currency"].text()
    start = of["from"].amount(currency) if of["from"].is_there else 0
    end = of["until"].amount(currency) if of["until"].is_there else None
    if end is not None and end <= start:
        raise FieldMalformed(of["until"].value, path=of["until"].path, right="an amount above the band's beginning")
    return ValueBand(currency, start, end)


def _tiers(field: Field) -> Tiers | None:
    if not field.is_there:
        return None
    of = field.keys(("mode", "period", "steps"))
    steps = list(of["steps"].items())
    if not 1 <= len(steps) <= STEPS_MAX:
        raise FieldMalformed(f"{len(steps)} steps", path=of["steps"].path, right=f"1 to {STEPS_MAX} steps")
    return Tiers(of["mode"].word(TierMode, None), of["period"].word(Period, None), tuple(_step(item) for item in steps))


def _step(field: Field) -> Tier:
    of = field.keys(("from", "percent"))
    if not of["percent"].is_there:
        raise FieldMissing(path=of["percent"].path, right="write the percentage from this volume on")
    return Tier(of["from"].amounts(), of["percent"].percent())


def _rule_document(rule: FeeRule) -> dict[str, Any]:
    """`base` and `tax_mode` are always told: who reads a rule shall not have to know a default."""
    plain_rule = {
        "name": rule.name,
        "stack": rule.stack if rule.stack != "commission" else None,
        "kind": rule.kind.value if rule.kind is not FeeKind.PLATFORM else None,
        "payer": rule.payer.value if rule.payer is not FeePayer.SELLER else None,
        "account": rule.account,
        "recipient": rule.recipient,
        "position": rule.position,
        "when": _when_document(rule.when) or None,
        "percent": plain(rule.percent) if rule.percent else None,
        "tiers": _tiers_document(rule.tiers) if rule.tiers is not None else None,
        "fixed": _amounts(rule.fixed),
        "fixed_scope": rule.fixed_scope.value if rule.fixed_scope is not FixedScope.ORDER else None,
        "minimum": _amounts(rule.minimum),
        "maximum": _amounts(rule.maximum),
        "base": rule.base.value,
        "tax_mode": rule.tax_mode.value,
        "holds_from": _instant(rule.holds_from),
        "holds_until": _instant(rule.holds_until),
        "based_on": rule.based_on,
        "actual_share": plain(rule.actual_share) if rule.actual_share is not None else None,
    }
    document = {key: value for key, value in plain_rule.items() if value is not None}
    if not {"percent", "tiers", "fixed"} & document.keys():
        document["percent"] = "0"
    return document


def _when_document(when: Conditions) -> dict[str, Any]:
    document: dict[str, Any] = {name: sorted(getattr(when, name)) for name in _SETS if getattr(when, name)}
    if when.values:
        document["values"] = [
            {"currency": band.currency, "from": decimal_text(band.start, band.currency)}
            | ({} if band.end is None else {"until": decimal_text(band.end, band.currency)})
            for band in when.values
        ]
    return document


def _tiers_document(tiers: Tiers) -> dict[str, Any]:
    return {
        "mode": tiers.mode.value,
        "period": tiers.period.value,
        "steps": [
            ({"from": _amounts(step.start)} if step.start else {}) | {"percent": plain(step.percent)}
            for step in tiers.steps
        ],
    }


def _amounts(amounts: Mapping[str, int]) -> dict[str, str] | None:
    return {currency: decimal_text(amounts[currency], currency) for currency in sorted(amounts)} or None


def _instant(at: datetime | None) -> str | None:
    return rfc3339(at) if at is not None else None
