"""The files of statements and invoices: the same numbers as CSV, XLSX or PDF, and as they were first made."""

import asyncio
import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from marketbill.db import Database
from marketbill.errors import InvalidInput
from marketbill.ids import PlatformId
from marketbill.statements import invoice_pdf, issued
from marketbill.statements.document import StatementDocument
from marketbill.statements.model import FileFormat, document_file
from marketbill.statements.statement_csv import whole_csv
from marketbill.statements.statement_pdf import statement_pdf
from marketbill.statements.statement_xlsx import statement_xlsx
from marketbill.statements.words import Language

MEDIA_TYPES = {
    FileFormat.CSV: "text/csv; charset=utf-8",
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileFormat.PDF: "application/pdf",
}

_KEPT = select(document_file.c.content, document_file.c.sha256).where(
    document_file.c.platform_id == bindparam("platform"),
    document_file.c.document_id == bindparam("document"),
    document_file.c.format == bindparam("as_format"),
    document_file.c.language == bindparam("in_language"),
)


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is handed out."""

    content: bytes
    sha256: str


def render(document: StatementDocument, format: FileFormat, language: Language) -> bytes:
    """A statement as a file. Blocks: run it in a thread. Raises LimitExceeded when the format cannot hold it."""
    match format:
        case FileFormat.CSV:
            return whole_csv(document).encode()
        case FileFormat.XLSX:
            return statement_xlsx(document, language)
        case FileFormat.PDF:
            return statement_pdf(document, language)


async def statement_file(
    db: Database, platform: PlatformId, row: Row[Any], format: FileFormat, language: Language
) -> File:
    """A file of an issued statement: made the first time it is asked for, and kept. Raises LimitExceeded."""

    async def make() -> bytes:
        document = await issued.document_of(partial(db.read, platform), row)
        return await asyncio.to_thread(render, document, format, language)

    return await _kept(db, platform, row.id, format, Language.EN if format is FileFormat.CSV else language, make)


async def invoice_file(
    db: Database, platform: PlatformId, invoice: Row[Any], lines: list[Row[Any]], language: Language
) -> File:
    """The PDF of a fee invoice or a credit note."""

    async def make() -> bytes:
        return await asyncio.to_thread(invoice_pdf.invoice_pdf, invoice, lines, language)

    return await _kept(db, platform, invoice.id, FileFormat.PDF, language, make)


def parse_format(text: str, *, path: tuple[str, ...] = ("format",)) -> FileFormat:
    """Raises InvalidInput with the formats there are."""
    try:
        return FileFormat(text.upper())
    except ValueError:
        known = ", ".join(one.lower() for one in FileFormat)
        raise InvalidInput(f"There is no format {text!r}: there are {known}.", path=path, constraint=known) from None


async def _kept(
    db: Database, platform: PlatformId, document: UUID, format: FileFormat, language: Language, make: Any
) -> File:
    asked = {"platform": platform, "document": document, "as_format": format.value, "in_language": language.value}
    async with db.read(platform) as scope:
        kept = await scope.first(_KEPT, asked)
    if kept is None:
        content = await make()
        async with db.write(platform) as scope:
            # Who comes second keeps what the first one made.
            await scope.run(
                insert(document_file)
                .values(
                    platform_id=platform,
                    document_id=document,
                    format=format.value,
                    language=language.value,
                    sha256=hashlib.sha256(content).digest(),
                    content=content,
                    made_at=scope.now,
                )
                .on_conflict_do_nothing()
            )
            kept = await scope.one(_KEPT, asked)
    return File(kept.content, kept.sha256.hex())
