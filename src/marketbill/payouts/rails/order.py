"""The order to a bank: a customer credit transfer initiation (ISO 20022 pain.001.001.09, as SEPA takes it)."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

from marketbill.money import decimal_text

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
#: Orders of one file: what banks take in one.
ORDERS_MAX = 10_000
# The characters of SEPA; an underscore is none of them.
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9/\-?:().,'+ ]")
_INSTEAD = str.maketrans({"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "&": "+", "_": "-"})


@dataclass(frozen=True, slots=True)
class Party:
    """Whose account money comes from or goes to."""

    name: str
    iban: str
    bic: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """One credit transfer: `reference` comes back in whatever the bank tells of it; `amount` in minor units."""

    reference: str
    amount: int
    creditor: Party
    purpose: str


def reference_of(public_id: str) -> str:
    """A public id in the characters that a bank takes."""
    return public_id.replace("_", "-")


def written(
    *, message: str, made_at: datetime, execute_on: date, currency: str, debtor: Party, orders: Sequence[Order]
) -> bytes:
    """The file. All its orders are of one currency and one day."""
    root = etree.Element(f"{{{NAMESPACE}}}Document", nsmap={None: NAMESPACE})
    initiation = _part(root, "CstmrCdtTrfInitn")
    number, total = str(len(orders)), decimal_text(sum(order.amount for order in orders), currency)
    header = _part(initiation, "GrpHdr")
    _part(header, "MsgId", message)
    _part(header, "CreDtTm", made_at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    _part(header, "NbOfTxs", number)
    _part(header, "CtrlSum", total)
    _part(_part(header, "InitgPty"), "Nm", _latin(debtor.name))
    payment = _part(initiation, "PmtInf")
    _part(payment, "PmtInfId", message)
    _part(payment, "PmtMtd", "TRF")
    _part(payment, "BtchBookg", "false")
    _part(payment, "NbOfTxs", number)
    _part(payment, "CtrlSum", total)
    if currency == "EUR":
        _part(_part(_part(payment, "PmtTpInf"), "SvcLvl"), "Cd", "SEPA")
    _part(_part(payment, "ReqdExctnDt"), "Dt", execute_on.isoformat())
    _part(_part(payment, "Dbtr"), "Nm", _latin(debtor.name))
    _part(_part(_part(payment, "DbtrAcct"), "Id"), "IBAN", debtor.iban)
    _agent(_part(payment, "DbtrAgt"), debtor.bic)
    _part(payment, "ChrgBr", "SLEV" if currency == "EUR" else "SHAR")
    for order in orders:
        _order(payment, order, currency)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _order(payment: Any, order: Order, currency: str) -> None:
    transfer = _part(payment, "CdtTrfTxInf")
    _part(_part(transfer, "PmtId"), "EndToEndId", order.reference)
    amount = _part(_part(transfer, "Amt"), "InstdAmt", decimal_text(order.amount, currency))
    amount.set("Ccy", currency)
    if order.creditor.bic:
        _agent(_part(transfer, "CdtrAgt"), order.creditor.bic)
    _part(_part(transfer, "Cdtr"), "Nm", _latin(order.creditor.name))
    _part(_part(_part(transfer, "CdtrAcct"), "Id"), "IBAN", order.creditor.iban)
    _part(_part(transfer, "RmtInf"), "Ustrd", _latin(order.purpose)[:140])


def _agent(place: Any, bic: str | None) -> None:
    institution = _part(place, "FinInstnId")
    if bic:
        _part(institution, "BICFI", bic)
    else:
        _part(_part(institution, "Othr"), "Id", "NOTPROVIDED")


def _part(parent: Any, name: str, content: str | None = None) -> Any:
    made = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    made.text = content
    return made


def _latin(words: str) -> str:
    """The words in the characters of SEPA, of which a name has at most 70."""
    plain = unicodedata.normalize("NFKD", words.translate(_INSTEAD))
    plain = "".join(one for one in plain if not unicodedata.combining(one))
    return " ".join(_FORBIDDEN.sub(".", plain).split())[:70]
