"""Evidence: what is said to the buyer's bank, and the files that show it, which are kept by reference."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, Row, Uuid, bindparam, func, insert, select

from marketbill.actor import Actor
from marketbill.db import Scope, WriteScope
from marketbill.disputes import queries
from marketbill.disputes.model import Answer, dispute_evidence
from marketbill.errors import InvalidInput, LimitExceeded, StateConflict
from marketbill.idempotency import keys as idempotency
from marketbill.ids import public_id
from marketbill.platforms.keys import tenant
from marketbill.prepared import prepared
from marketbill.rules.disputes import ANSWERABLE
from marketbill.services import Services
from marketbill.text import check_usable

#: What may be said, by the provider's names of its fields.
TEXTS = (
    "access_activity_log", "billing_address", "cancellation_policy_disclosure", "cancellation_rebuttal",
    "customer_email_address", "customer_name", "customer_purchase_ip", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "refund_policy_disclosure", "refund_refusal_explanation",
    "service_date", "shipping_address", "shipping_carrier", "shipping_date", "shipping_tracking_number",
    "uncategorized_text",
)  # fmt: skip
#: What may be shown by a file.
FILES = (
    "cancellation_policy", "customer_communication", "customer_signature", "duplicate_charge_documentation", "receipt",
    "refund_policy", "service_documentation", "shipping_documentation", "uncategorized_file",
)  # fmt: skip
#: Characters of all texts together, which is the provider's own limit.
LENGTH_MAX = 150_000
#: Pieces of evidence of one dispute, with those that others took the place of.
PIECES_MAX = 200
_URL_LENGTH_MAX = 2_000
_NAME_LENGTH_MAX = 255
_SHA256 = re.compile("[0-9a-f]{64}")
_FILE_ID = re.compile("file_[A-Za-z0-9]{1,240}")
_IDS = bindparam("ids", type_=ARRAY(Uuid)).any_()
_ALL = prepared(
    select(dispute_evidence)
    .where(dispute_evidence.c.platform_id == bindparam("platform"), dispute_evidence.c.dispute_id == _IDS)
    .order_by(dispute_evidence.c.dispute_id, dispute_evidence.c.ordinal)
)
_LAST = prepared(
    select(func.max(dispute_evidence.c.ordinal)).where(
        dispute_evidence.c.platform_id == bindparam("platform"), dispute_evidence.c.dispute_id == bindparam("dispute")
    )
)


class EvidenceTooLate(StateConflict):
    """The time for evidence is over."""


@dataclass(frozen=True, slots=True)
class FileReference:
    """Where a file is, and the SHA-256 (64 hexadecimal digits) of its bytes: `id` at the provider, or `url`."""

    sha256: str
    id: str | None = None
    url: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of evidence: a text or a file for a field, or neither, which takes back what was said in it."""

    field: str
    content: str | None = None
    file: FileReference | None = None


async def add(
    services: Services, actor: Actor, *, idempotency_key: str, dispute_id: str, pieces: Sequence[Piece]
) -> Row[Any]:
    """Keeps evidence for a dispute; nothing is sent before it is contested. A seller may add to disputes of his sales.

    Raises NotFound, InvalidInput, EvidenceTooLate, StateConflict, LimitExceeded.
    """
    platform = tenant(actor)
    for index, piece in enumerate(pieces):
        _check(piece, path=("pieces", str(index)))
    if not pieces:
        raise InvalidInput("Give at least one piece of evidence.", path=("pieces",), constraint=">= 1")
    body = {"id": dispute_id, "pieces": [_told(piece) for piece in pieces]}
    async with services.db.write(platform) as scope:
        claim = await idempotency.claim(
            scope, actor=actor.idempotency_scope, operation="disputeEvidenceAdd", key=idempotency_key, body=body
        )
        row = await queries.by_id(scope, actor, dispute_id, lock=claim.replay is None)
        if claim.replay is not None:
            return row
        check_answerable(scope, row)
        await _insert(scope, row, pieces, actor)
        await idempotency.finish(scope, claim, {"id": dispute_id})
        return row


def check_answerable(scope: Scope, row: Row[Any]) -> None:
    """Raises StateConflict when the dispute takes no answer, EvidenceTooLate when its time is over."""
    id = public_id("dispute", row.id)
    if row.answer is not None and row.answer != Answer.REFUSED and row.status in ANSWERABLE and not _asked_again(row):
        raise StateConflict(f"{id} was answered already: {row.answer}.", current_state=row.answer, path=("id",))
    if row.status not in ANSWERABLE:
        raise StateConflict(
            f"{id} takes no answer any more: it is {row.status}.", current_state=row.status, path=("id",)
        )
    if row.due_by is not None and scope.now > row.due_by:
        raise EvidenceTooLate(
            f"{id} took evidence until {row.due_by:%Y-%m-%d %H:%M} UTC.", current_state=row.status, path=("id",)
        )


def _asked_again(row: Row[Any]) -> bool:
    """An inquiry that was answered became a dispute, or one that was lost is appealed: the bank asks anew."""
    return row.answer in (Answer.CONTESTED, Answer.ACCEPTED) and row.submissions == 0


async def pieces_of(scope: Scope, disputes: Sequence[UUID]) -> dict[UUID, list[Row[Any]]]:
    """The evidence of disputes as it stands: the newest of each field, in the order in which it was added."""
    found: dict[UUID, dict[str, Row[Any]]] = {id: {} for id in disputes}
    for row in await scope.rows(_ALL, {"platform": scope.platform, "ids": list(disputes)}):
        fields = found[row.dispute_id]
        fields.pop(row.field, None)
        if row.content is not None or row.file_sha256 is not None:
            fields[row.field] = row
    return {id: list(fields.values()) for id, fields in found.items()}


def submission(pieces: Sequence[Row[Any]]) -> dict[str, str]:
    """As the provider gets it. A file that it does not have itself is named in the text, with its hash."""
    told = {piece.field: piece.content or piece.file_id for piece in pieces if piece.content or piece.file_id}
    elsewhere = [
        f"{piece.field}: {piece.file_name or piece.file_url} {piece.file_url} (SHA-256 {piece.file_sha256})"
        for piece in pieces
        if piece.file_url
    ]
    if elsewhere:
        said = [told["uncategorized_text"]] if "uncategorized_text" in told else []
        told["uncategorized_text"] = "\n".join([*said, *elsewhere])
    return told


def digest(evidence: Mapping[str, str]) -> str:
    """SHA-256 of what would be submitted."""
    return hashlib.sha256(orjson.dumps(evidence, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def _insert(scope: WriteScope, row: Row[Any], pieces: Sequence[Piece], actor: Actor) -> None:
    last = await scope.scalar(_LAST, {"platform": scope.platform, "dispute": row.id}) or 0
    if last + len(pieces) > PIECES_MAX:
        raise LimitExceeded(f"A dispute has at most {PIECES_MAX} pieces of evidence.", path=("pieces",))
    await scope.run(
        insert(dispute_evidence),
        [
            {
                "platform_id": scope.platform,
                "dispute_id": row.id,
                "ordinal": last + place,
                **_told(piece),
                "added_by": actor.id,
                "added_at": scope.now,
            }
            for place, piece in enumerate(pieces, start=1)
        ],
    )
    standing = (await pieces_of(scope, [row.id]))[row.id]
    if sum(map(len, submission(standing).values())) > LENGTH_MAX:
        raise LimitExceeded(f"Evidence has at most {LENGTH_MAX} characters in all.", path=("pieces",))


def _told(piece: Piece) -> dict[str, Any]:
    file = piece.file
    return {
        "field": piece.field,
        "content": piece.content,
        "file_id": file.id if file else None,
        "file_url": file.url if file else None,
        "file_name": file.name if file else None,
        "file_sha256": file.sha256 if file else None,
    }


def _check(piece: Piece, *, path: tuple[str, ...]) -> None:
    named = (*path, "field")
    if piece.field not in TEXTS + FILES:
        fields = ", ".join(TEXTS + FILES)
        raise InvalidInput(
            f"Evidence has no field {piece.field[:60]!r}: use one of {fields}.", path=named, constraint="a known field"
        )
    if piece.content is not None:
        _check_text(piece, path)
    if piece.file is not None:
        if piece.content is not None or piece.field not in FILES:
            raise InvalidInput(
                f"{piece.field} takes {'a file or nothing' if piece.field in FILES else 'a text'}.",
                path=(*path, "file"),
                constraint=f"files: {', '.join(FILES)}",
            )
        _check_file(piece.file, path=(*path, "file"))


def _check_text(piece: Piece, path: tuple[str, ...]) -> None:
    text = piece.content or ""
    if piece.field not in TEXTS:
        raise InvalidInput(
            f"{piece.field} takes a file.", path=(*path, "content"), constraint=f"texts: {', '.join(TEXTS)}"
        )
    for line in text.splitlines():
        check_usable(line.replace("\t", " "), path=(*path, "content"))
    if not text.strip() or len(text) > LENGTH_MAX:
        raise InvalidInput(
            f"Say it in 1 to {LENGTH_MAX} characters.",
            path=(*path, "content"),
            constraint=f"1..{LENGTH_MAX} characters",
        )


def _check_file(file: FileReference, *, path: tuple[str, ...]) -> None:
    if not _SHA256.fullmatch(file.sha256):
        raise InvalidInput(
            "sha256 is the hash of the file's bytes: 64 hexadecimal digits, small letters.",
            path=(*path, "sha256"),
            constraint="[0-9a-f]{64}",
        )
    if (file.id is None) == (file.url is None):
        raise InvalidInput("A file is named by its id at the provider, or by its URL.", path=path, constraint="one of")
    if file.id is not None and not _FILE_ID.fullmatch(file.id):
        raise InvalidInput("The provider's id of a file begins with file_.", path=(*path, "id"), constraint="file_…")
    if file.url is not None:
        check_usable(file.url, path=(*path, "url"))
        parts = _split(file.url)
        if parts is None or parts.scheme != "https" or not parts.hostname or len(file.url) > _URL_LENGTH_MAX:
            raise InvalidInput(
                f"The URL of a file begins with https:// and has at most {_URL_LENGTH_MAX} characters.",
                path=(*path, "url"),
                constraint="https://…",
            )
    check_usable(file.name, path=(*path, "name"))
    if file.name is not None and not 1 <= len(file.name) <= _NAME_LENGTH_MAX:
        raise InvalidInput(
            f"A file's name has 1 to {_NAME_LENGTH_MAX} characters.",
            path=(*path, "name"),
            constraint=f"1..{_NAME_LENGTH_MAX} characters",
        )


def _split(url: str) -> Any:
    try:
        return urlsplit(url)
    except ValueError:
        return None
