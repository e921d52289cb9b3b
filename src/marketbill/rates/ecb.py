"""The European Central Bank's reference rates: its whole history in a package, and its live feed.

The bank fixes what one euro is worth on every working day of its own calendar, and publishes it at about 16:00 Central
European Time. Currencies come and go: one that joined the euro, or that it no longer quotes, ends with its last day.
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib import resources
from xml.parsers import expat

import aiohttp

from marketbill.money import UnknownCurrency, exponent

SOURCE = "ecb"
BASE = "EUR"
#: Seconds for one file of the feed, and the most bytes of it: all rates since 1999 are some eight megabytes.
TIMEOUT_SECONDS = 30.0
BYTES_MAX = 32 * 1024 * 1024
#: Days that `eurofxref-hist-90d.xml` goes back.
RECENT_DAYS = 90

_DAILY, _RECENT, _EVER = "eurofxref-daily.xml", "eurofxref-hist-90d.xml", "eurofxref-hist.xml"


class FeedUnreadable(Exception):
    """The feed did not answer, or with something else than rates. The message says which."""


@dataclass(frozen=True, slots=True)
class Fixing:
    """What one euro was worth in a currency on a day."""

    on: date
    quote: str
    rate: Decimal


def embedded(since: date | None = None) -> Iterator[Fixing]:
    """The rates of the history that is installed with marketbill, newest day first, down to `since` (None: all)."""
    packed = (resources.files("currency_converter") / "eurofxref-hist.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for name in archive.namelist():
            yield from _of_csv(archive.read(name).decode("ascii"), since or date.min)


def _of_csv(text: str, since: date) -> Iterator[Fixing]:
    rows = csv.reader(io.StringIO(text))
    header = [name.strip() for name in next(rows)]
    columns = [(place, code) for place, code in enumerate(header) if place and _is_payable(code)]
    for row in rows:
        on = date.fromisoformat(row[0])
        if on < since:
            return
        for place, code in columns:
            cell = row[place].strip()
            if cell not in ("", "N/A"):
                yield Fixing(on, code, Decimal(cell))


def of_xml(body: bytes) -> list[Fixing]:
    """The rates of one of the feed's files. Raises FeedUnreadable for anything that is not one, or holds none."""
    found: list[Fixing] = []
    day: date | None = None

    def start(_: str, attributes: dict[str, str]) -> None:
        nonlocal day
        if "time" in attributes:
            day = date.fromisoformat(attributes["time"])
        if "currency" in attributes and "rate" in attributes:
            if day is None:
                raise FeedUnreadable("the exchange rates have no day")
            code, rate = attributes["currency"], Decimal(attributes["rate"])
            if not rate.is_finite() or rate <= 0:
                raise FeedUnreadable(f"the exchange rate of {code} is {rate}")
            if _is_payable(code):
                found.append(Fixing(day, code, rate))

    def declared(*_: object) -> None:
        raise FeedUnreadable("the exchange rates declare entities of their own")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EntityDeclHandler = declared
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, InvalidOperation) as error:
        raise FeedUnreadable(f"the exchange rates cannot be read: {error}") from error
    if not found:
        raise FeedUnreadable("the file of exchange rates holds none")
    return found


async def read_feed(url: str, *, since: date | None, today: date) -> list[Fixing]:
    """The rates published after `since`, from the smallest file of the feed at `url` that has them all.

    Raises FeedUnreadable.
    """
    if since is None or (today - since).days >= RECENT_DAYS:
        name = _EVER
    elif (today - since).days > 1:
        name = _RECENT
    else:
        name = _DAILY
    fixings = of_xml(await _read(f"{url.rstrip('/')}/{name}"))
    return [fixing for fixing in fixings if since is None or fixing.on > since]


async def _read(url: str) -> bytes:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    body = bytearray()
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise FeedUnreadable(f"{url} answered {response.status}")
            async for chunk in response.content.iter_chunked(64 * 1024):
                body += chunk
                if len(body) > BYTES_MAX:
                    raise FeedUnreadable(f"{url} is larger than {BYTES_MAX} bytes")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise FeedUnreadable(f"{url} did not answer: {type(error).__name__}") from error
    return bytes(body)


def _is_payable(code: str) -> bool:
    # The history names currencies that are no more (a kuna has no decimals today): nobody can be charged in them.
    try:
        exponent(code)
    except UnknownCurrency:
        return False
    return True
