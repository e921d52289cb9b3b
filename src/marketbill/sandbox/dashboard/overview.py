"""The first page: time, money, counts, faults, and what happened last."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from marketbill.sandbox.control.state import differences
from marketbill.sandbox.dashboard import queries
from marketbill.sandbox.dashboard.frame import Frame, Look

#: Events shown as what happened last.
EVENTS_SHOWN = 8
#: Accounts with their balances.
BALANCES_SHOWN = 12
#: Above so many balance transactions the books are not added up for each look at this page.
TRANSACTIONS_CHECKED_MAX = 50_000
#: Kinds of objects that are no one's business as a list: a link's id is its secret.
_UNLISTED = ("account_link",)


def routes(frame: Frame) -> list[Route]:
    return [frame.route("/", overview)]


def overview(look: Look) -> Response:
    desk = look.desk
    db = desk.store.db
    counts = db.execute("SELECT kind, count(*) FROM objects GROUP BY kind ORDER BY kind").fetchall()
    deliveries = dict(db.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall())
    due = db.execute("SELECT at, kind FROM due WHERE broken IS NULL ORDER BY at, id LIMIT 1").fetchone()
    held = queries.balances(look, BALANCES_SHOWN + 1)
    checked = dict(counts).get("balance_transaction", 0) <= TRANSACTIONS_CHECKED_MAX
    told = queries.events(look, [])
    return look.page(
        "overview.html",
        base_url=desk.base_url,
        offset=desk.clock.offset,
        due=due,
        due_count=db.execute("SELECT count(*) FROM due WHERE broken IS NULL").fetchone()[0],
        broken=desk.schedule.broken(),
        counts=[(kind, count) for kind, count in counts if kind not in _UNLISTED],
        event_count=db.execute("SELECT count(*) FROM events").fetchone()[0],
        deliveries={state: deliveries.get(state, 0) for state in ("pending", "delivered", "failed")},
        checked=checked,
        differences=differences(desk) if checked else [],
        held=held[:BALANCES_SHOWN],
        more_held=len(held) > BALANCES_SHOWN,
        faults=[fault.shown() for fault in desk.faults.all()],
        told=told.items[:EVENTS_SHOWN],
    )
