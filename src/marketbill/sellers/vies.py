"""VIES, the European Commission's register of VAT numbers, as the office that is asked about them."""

from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import orjson

#: How long one question may take; the register asks the member state's own while we wait.
TIMEOUT_SECONDS = 10.0
_ANSWER_BYTES_MAX = 64 * 1024
_TEXT_LENGTH_MAX = 500
#: What the register says where a member state tells no names.
_UNTOLD = "---"


class VatOfficeUnavailable(Exception):
    """No definite answer: the register, or the member state behind it, is away. `reason` says how it showed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason[:_TEXT_LENGTH_MAX]


@dataclass(frozen=True, slots=True)
class VatAnswer:
    """What the office said; `raw` is all of it. `consultation`: its receipt for the question, for who named himself;
    `holder`: the name that the number is registered for, where the member state tells it.
    """

    valid: bool
    consultation: str | None
    holder: str | None
    raw: dict[str, Any]


class VatOffice(Protocol):
    """Who can say whether a VAT number is in force."""

    async def ask(self, *, prefix: str, number: str, requester: tuple[str, str] | None) -> VatAnswer:
        """About a number by the letters it begins with (`EL` for Greece) and the rest; `requester` is who asks, by the
        same two parts of his own number. Raises VatOfficeUnavailable."""
        ...


class Vies:
    """The register at `url` (its REST address, without the last part)."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url.rstrip("/") + "/check-vat-number"
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    async def ask(self, *, prefix: str, number: str, requester: tuple[str, str] | None) -> VatAnswer:
        body = {"countryCode": prefix, "vatNumber": number}
        if requester is not None:
            body |= {"requesterMemberStateCode": requester[0], "requesterNumber": requester[1]}
        said = await self._post(body)
        faults = _faults(said)
        if "INVALID_REQUESTER_INFO" in faults and requester is not None:
            # A platform whose own number the register does not know still learns of its sellers', without a receipt.
            return await self.ask(prefix=prefix, number=number, requester=None)
        if "INVALID_INPUT" in faults:
            return VatAnswer(valid=False, consultation=None, holder=None, raw=said)
        if faults or not isinstance(said.get("valid"), bool):
            raise VatOfficeUnavailable(", ".join(sorted(faults)) or "an answer that says neither valid nor invalid")
        return VatAnswer(said["valid"], _text(said.get("requestIdentifier")), _text(said.get("name")), said)

    async def _post(self, body: dict[str, str]) -> dict[str, Any]:
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.post(self._url, json=body, allow_redirects=False) as response,
            ):
                raw = await response.content.read(_ANSWER_BYTES_MAX)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise VatOfficeUnavailable(f"no answer ({type(error).__name__})") from error
        try:
            said = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise VatOfficeUnavailable(f"HTTP {status}, and no JSON") from error
        if not isinstance(said, dict) or (status != 200 and not _faults(said)):
            raise VatOfficeUnavailable(f"HTTP {status}")
        return said


def _faults(said: dict[str, Any]) -> set[str]:
    """The error codes of an answer. `userError` is VALID or INVALID in a good one."""
    wrappers = said.get("errorWrappers")
    listed = wrappers if isinstance(wrappers, list) else []
    codes = {str(one.get("error")) for one in listed if isinstance(one, dict)}
    told = said.get("userError")
    if isinstance(told, str) and told not in ("", "VALID", "INVALID"):
        codes.add(told)
    return codes


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    told = value.replace("\x00", "").strip()[:_TEXT_LENGTH_MAX]
    return told if told and told != _UNTOLD else None
