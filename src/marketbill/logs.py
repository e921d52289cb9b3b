"""Logging: one line an event, JSON unless a person watches; no secrets, no personal data.

Everything of a process, ours and the libraries', goes the same way. Fields whose name says that they hold something
private are hidden, and so is everything that looks like a key, wherever it stands.
"""

import logging
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"
#: Names of fields that are never written out, in lower case.
PRIVATE_FIELDS = frozenset(
    {
        "address", "authorization", "body", "client_secret", "cookie", "email", "idempotency_key", "iban", "name",
        "password", "phone", "raw", "secret", "secret_key", "signature", "token", "vat_number", "webhook_secret",
    }
)  # fmt: skip
_KEYS = re.compile(r"\b(?:sk|rk|pk)_(?:live|test)_\w+|\bwhsec_\w+|\bpi_\w+_secret_\w+|\bmb_[0-9a-z]{26}_[\w-]+")
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@")
#: Libraries that say too much, or say what we say already.
_QUIET = ("stripe", "asyncio", "aiohttp", "pika", "dramatiq.worker.ConsumerThread", "sqlalchemy.engine")


def configure(level: str = "INFO", *, stream: TextIO | None = None, as_json: bool | None = None) -> None:
    """Sets up structlog and the standard library's logging for this process. Call it again after a fork."""
    output = stream or sys.stderr
    json_lines = as_json if as_json is not None else not output.isatty()
    before: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    rendering: Sequence[Processor] = (
        (structlog.processors.format_exc_info, hide_private, structlog.processors.JSONRenderer())
        if json_lines
        else (hide_private, structlog.dev.ConsoleRenderer())
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=(structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering),
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def hide_private(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor: hides private fields, and keys and passwords in any text."""
    return {name: HIDDEN if name in PRIVATE_FIELDS else _clean(value) for name, value in event.items()}


def _clean(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return _PASSWORD_IN_URL.sub(rf"\1:{HIDDEN}@", _KEYS.sub(HIDDEN, value))
    if isinstance(value, dict) and depth < 4:
        return {
            key: HIDDEN if str(key).lower() in PRIVATE_FIELDS else _clean(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple) and depth < 4:
        return [_clean(item, depth + 1) for item in value]
    return value
