"""The European Central Bank's rates: the history that is installed, the files of the feed, and a feed that fails."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from decimal import Decimal

import pytest
from aiohttp import web

from marketbill.rates import ecb
from marketbill.rates.ecb import FeedUnreadable, Fixing, embedded, of_xml, read_feed

DAILY = b"""<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
  <gesmes:subject>Reference rates</gesmes:subject>
  <gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender>
  <Cube><Cube time='2026-11-20'>
    <Cube currency='USD' rate='1.1525'/><Cube currency='JPY' rate='180.27'/><Cube currency='HRK' rate='7.5'/>
  </Cube></Cube>
</gesmes:Envelope>
"""
RECENT = b"""<Envelope><Cube>
  <Cube time="2026-11-20"><Cube currency="USD" rate="1.1525"/></Cube>
  <Cube time="2026-11-19"><Cube currency="USD" rate="1.1540"/></Cube>
  <Cube time="2026-11-18"><Cube currency="USD" rate="1.1580"/></Cube>
</Cube></Envelope>
"""
EVER = RECENT.replace(
    b"</Cube></Envelope>", b'<Cube time="1999-01-04"><Cube currency="USD" rate="1.1789"/></Cube></Cube></Envelope>'
)

Serve = Callable[[dict[str, bytes | int]], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves these files, or answers with these statuses, and gives the folder's address."""
    runners: list[web.AppRunner] = []

    async def start(files: dict[str, bytes | int]) -> str:
        async def answer(request: web.Request) -> web.Response:
            found = files.get(request.match_info["name"], 404)
            return web.Response(status=found) if isinstance(found, int) else web.Response(body=found)

        app = web.Application()
        app.router.add_get("/rates/{name}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}/rates"

    yield start
    for runner in runners:
        await runner.cleanup()


def test_the_installed_history_begins_with_the_euro() -> None:
    history = list(embedded())

    assert history[-1].on == date(1999, 1, 4)
    assert Fixing(date(1999, 1, 4), "USD", Decimal("1.1789")) in history
    assert Fixing(date(2020, 3, 16), "USD", Decimal("1.1157")) in history
    assert history[0].on >= date(2026, 10, 30)


def test_currencies_end_when_they_are_quoted_no_more() -> None:
    last = {}
    for fixing in embedded():
        last.setdefault(fixing.quote, fixing.on)

    assert last["RUB"] == date(2022, 3, 1)
    assert "HRK" not in last  # is none any more, nobody can pay with it
    assert last["USD"] == max(last.values())


def test_the_history_is_read_down_to_a_day() -> None:
    some = list(embedded(date(2026, 10, 29)))

    assert {fixing.on for fixing in some} >= {date(2026, 10, 29), date(2026, 10, 30)}
    assert min(fixing.on for fixing in some) == date(2026, 10, 29)


def test_the_daily_file_is_read_exactly() -> None:
    assert of_xml(DAILY) == [
        Fixing(date(2026, 11, 20), "USD", Decimal("1.1525")),
        Fixing(date(2026, 11, 20), "JPY", Decimal("180.27")),
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "cannot be read"),
        (b"<html>down for maintenance</html>", "holds none"),
        (DAILY[:300], "cannot be read"),
        (DAILY.replace(b"1.1525", b"-1"), "is -1"),
        (DAILY.replace(b"1.1525", b"NaN"), "is NaN"),
        (DAILY.replace(b"1.1525", b"n/a"), "cannot be read"),
        (DAILY.replace(b"2026-11-20", b"yesterday"), "cannot be read"),
        (DAILY.replace(b" time='2026-11-20'", b""), "have no day"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "entities of their own"),
    ],
)
def test_what_is_no_file_of_rates_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(FeedUnreadable, match=reason):
        of_xml(body)


async def test_the_smallest_file_that_has_all_is_read(serve: Serve) -> None:
    url = await serve({"eurofxref-daily.xml": DAILY, "eurofxref-hist-90d.xml": RECENT, "eurofxref-hist.xml": EVER})

    async def days(since: date | None) -> list[date]:
        fixings = await read_feed(url, since=since, today=date(2026, 11, 20))
        return sorted({fixing.on for fixing in fixings})

    assert await days(date(2026, 11, 19)) == [date(2026, 11, 20)]
    assert await days(date(2026, 11, 18)) == [date(2026, 11, 19), date(2026, 11, 20)]
    assert await days(date(2026, 8, 1)) == [date(2026, 11, day) for day in (18, 19, 20)]
    assert date(1999, 1, 4) in await days(None)
    assert await days(date(2026, 11, 20)) == []


async def test_a_feed_that_fails_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    url = await serve({"eurofxref-daily.xml": 503, "eurofxref-hist.xml": b"x" * 100_000})

    with pytest.raises(FeedUnreadable, match="answered 503"):
        await read_feed(url, since=date(2026, 11, 20), today=date(2026, 11, 20))
    monkeypatch.setattr(ecb, "BYTES_MAX", 1_000)
    with pytest.raises(FeedUnreadable, match="larger than 1000 bytes"):
        await read_feed(url, since=None, today=date(2026, 11, 20))
    with pytest.raises(FeedUnreadable, match="did not answer"):
        await read_feed("http://127.0.0.1:1/rates", since=None, today=date(2026, 11, 20))
