"""What a bank answers, read: of each order its fate. A payment status report (pain.002) tells whether orders were
taken, a statement of the account (camt.053) what was debited, and what came back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

from marketbill.errors import InvalidInput
from marketbill.money import exponent
from marketbill.payouts.model import ResultKind

#: Bytes of a file that is read.
SIZE_MAX = 20_000_000
ENTRIES_MAX = 50_000
_SPACE = "urn:iso:std:iso:20022:tech:xsd:"
_PATH = ("content",)
#: An amount as ISO 20022 writes it: at most eighteen digits, five of them behind the point.
_WRITTEN = re.compile(r"[0-9]{1,18}(\.[0-9]{1,5})?")
#: What a status says of an order that is settled, or never will be; others say that it is on its way.
_SETTLED = frozenset({"ACSC", "ACCC"})
_REJECTED = frozenset({"RJCT", "CANC"})


class Fate(StrEnum):
    """What became of an order. RETURNED: it was carried out, and the receiving bank sent it back."""

    PAID = "PAID"
    REJECTED = "REJECTED"
    RETURNED = "RETURNED"
    UNDER_WAY = "UNDER_WAY"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one order (`reference`), or of all of a message where that is None. `amount` in minor units, None where the
    bank does not repeat it. `place` says where in the file it stands."""

    message: str | None
    reference: str | None
    fate: Fate
    amount: int | None
    currency: str | None
    reason: str | None
    bank_reference: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A file of the bank's. `account` is the IBAN that a statement is of; `others` are entries that name no order."""

    kind: ResultKind
    message: str
    account: str | None
    verdicts: tuple[Verdict, ...]
    others: int = 0


class NoAnswer(InvalidInput):
    """A file that is none of those a bank answers with."""


def read(content: bytes) -> Answer:
    """The answer in a file. Raises NoAnswer, which says what is wrong where."""
    if len(content) > SIZE_MAX:
        raise NoAnswer("The file is too large.", path=_PATH, constraint=f"<= {SIZE_MAX} bytes")
    root = _parsed(content)
    space, _, name = root.tag.rpartition("}")
    form = space.removeprefix("{").removeprefix(_SPACE)
    if name == "Document" and form.startswith("pain.002."):
        return _status_report(_Reader(root, space + "}"))
    if name == "Document" and form.startswith("camt.053."):
        return _statement(_Reader(root, space + "}"))
    raise NoAnswer(
        f"This is neither a payment status report nor a statement of an account, but {form[:60] or name[:60]!r}.",
        path=_PATH,
        constraint="pain.002 or camt.053 of ISO 20022",
    )


def _parsed(content: bytes) -> Any:
    # No document type, no entities, nothing fetched: a file of a bank has none of that.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise NoAnswer(f"The file is not XML: {str(error)[:200]}", path=_PATH, constraint="XML") from None
    if root.getroottree().docinfo.doctype:
        raise NoAnswer(
            "The file has a document type, which no file of a bank has.", path=_PATH, constraint="no DOCTYPE"
        )
    return root


class _Reader:
    """Finds parts by their names without the namespace."""

    def __init__(self, node: Any, space: str) -> None:
        self.node, self._space = node, space

    def all(self, path: str) -> Iterator["_Reader"]:
        steps = "/".join(self._space + step for step in path.split("/"))
        for found in self.node.iterfind(steps):
            yield _Reader(found, self._space)

    def first(self, path: str) -> "_Reader | None":
        return next(self.all(path), None)

    def text(self, *paths: str) -> str | None:
        for path in paths:
            found = self.first(path)
            if found is not None and found.node.text and found.node.text.strip():
                return found.node.text.strip()[:140]
        return None

    @property
    def place(self) -> str:
        return f"line {self.node.sourceline}"


def _status_report(root: _Reader) -> Answer:
    report = _needed(root, "CstmrPmtStsRpt")
    message = _said(report, "GrpHdr/MsgId")
    original = _needed(report, "OrgnlGrpInfAndSts")
    of = _said(original, "OrgnlMsgId")
    verdicts: list[Verdict] = []
    whole = original.text("GrpSts")
    singles = [
        (payment, single) for payment in report.all("OrgnlPmtInfAndSts") for single in payment.all("TxInfAndSts")
    ]
    for payment, single in singles:
        status = single.text("TxSts") or payment.text("PmtInfSts") or whole
        verdicts.append(_status(single, of, _said(single, "OrgnlEndToEndId"), status))
    # Where all of it is refused, its single orders only tell why; those that are not named are refused as well.
    if not singles or whole in _REJECTED:
        statuses = [(payment, payment.text("PmtInfSts")) for payment in report.all("OrgnlPmtInfAndSts")]
        where, status = next(((one, found) for one, found in statuses if found), (original, whole))
        verdicts.append(_status(where, of, None, status))
    return Answer(ResultKind.PAIN_002, message, None, tuple(verdicts))


def _status(where: _Reader, message: str, reference: str | None, status: str | None) -> Verdict:
    fate = Fate.PAID if status in _SETTLED else Fate.REJECTED if status in _REJECTED else Fate.UNDER_WAY
    amount = where.first("OrgnlTxRef/Amt/InstdAmt")
    minor, currency = _amount(amount) if amount is not None else (None, None)
    reason = where.text("StsRsnInf/Rsn/Cd", "StsRsnInf/Rsn/Prtry", "StsRsnInf/AddtlInf")
    return Verdict(message, reference, fate, minor, currency, reason, where.text("AcctSvcrRef"), where.place)


def _statement(root: _Reader) -> Answer:
    report = _needed(root, "BkToCstmrStmt")
    message = _said(report, "GrpHdr/MsgId")
    verdicts: list[Verdict] = []
    others = 0
    accounts: set[str | None] = set()
    for statement in report.all("Stmt"):
        accounts.add(statement.text("Acct/Id/IBAN"))
        for entry in statement.all("Ntry"):
            if entry.text("Sts/Cd", "Sts") != "BOOK":
                continue
            found = list(_booked(entry))
            others += not found
            verdicts += found
            if len(verdicts) + others > ENTRIES_MAX:
                raise NoAnswer("The file has too many entries.", path=_PATH, constraint=f"<= {ENTRIES_MAX}")
    if len(accounts) != 1:
        raise NoAnswer("The file is not of one account.", path=_PATH, constraint="statements of one account")
    return Answer(ResultKind.CAMT_053, message, accounts.pop(), tuple(verdicts), others)


def _booked(entry: _Reader) -> Iterator[Verdict]:
    """The orders in an entry: its transactions that name one, or the whole message that it is the batch of."""
    back = entry.text("CdtDbtInd") == "CRDT"
    fate = Fate.RETURNED if back else Fate.PAID
    details = list(entry.all("NtryDtls/TxDtls"))
    for detail in details:
        reference = detail.text("Refs/EndToEndId")
        if reference is None or reference == "NOTPROVIDED":
            continue
        amount = detail.first("Amt") or detail.first("AmtDtls/TxAmt/Amt")
        if amount is None and len(details) == 1:
            amount = entry.first("Amt")
        minor, currency = _amount(amount) if amount is not None else (None, None)
        yield Verdict(
            detail.text("Refs/MsgId"),
            reference,
            fate,
            minor,
            currency,
            detail.text("RtrInf/Rsn/Cd", "RtrInf/Rsn/Prtry", "RtrInf/AddtlInf"),
            detail.text("Refs/AcctSvcrRef") or entry.text("AcctSvcrRef"),
            detail.place,
        )
    batch = entry.text("NtryDtls/Btch/PmtInfId", "NtryDtls/Btch/MsgId")
    if batch is not None and not details and not back:
        whole = entry.first("Amt")
        minor, currency = _amount(whole) if whole is not None else (None, None)
        yield Verdict(batch, None, fate, minor, currency, None, entry.text("AcctSvcrRef"), entry.place)


def _amount(node: _Reader) -> tuple[int, str]:
    currency = node.node.get("Ccy") or ""
    said = (node.node.text or "").strip()
    try:
        # Checked before it is computed with: Decimal reads exponents, underscores and the digits of every script too.
        if not _WRITTEN.fullmatch(said):
            raise InvalidOperation
        scaled = Decimal(said).scaleb(exponent(currency))
        if scaled != int(scaled):
            raise InvalidOperation
        return int(scaled), currency
    except (InvalidOperation, InvalidInput):
        words = f"{(node.node.text or '')[:40]} {currency[:10]}"
        raise NoAnswer(f"This is no amount: {words!r} ({node.place}).", path=_PATH, constraint="an amount") from None


def _needed(node: _Reader, path: str) -> _Reader:
    found = node.first(path)
    if found is None:
        raise NoAnswer(f"The file has no {path} ({node.place}).", path=_PATH, constraint=path)
    return found


def _said(node: _Reader, path: str) -> str:
    found = node.text(path)
    if found is None:
        raise NoAnswer(f"The file has no {path} ({node.place}).", path=_PATH, constraint=path)
    return found
