"""`GET /metrics`: the gauges of the machine in the text format of Prometheus, for who knows METRICS_TOKEN.

They are read from the database when they are asked for, so any one API process tells of the whole machine.
"""

import hmac
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from marketbill.errors import Unavailable
from marketbill.health.gauges import Gauges, measure
from marketbill.services import Services


def routes(services: Services) -> list[BaseRoute]:
    """None without METRICS_TOKEN: then there is no such page."""
    token = services.settings.metrics_token
    if token is None:
        return []
    wanted = f"Bearer {token.get_secret_value()}".encode()

    async def metrics(request: Request) -> Response:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, wanted):
            message = "Send the METRICS_TOKEN of this API as a bearer token."
            return JSONResponse({"error": message}, status_code=401, headers={"www-authenticate": "Bearer"})
        try:
            gauges = await measure(services.db)
        except Unavailable as refusal:
            return JSONResponse({"error": refusal.message}, status_code=503)
        return Response(page(gauges), media_type=CONTENT_TYPE_LATEST)

    return [Route("/metrics", metrics, methods=["GET"])]


def page(gauges: Gauges) -> bytes:
    """The gauges as text. The registry is of this page alone: nothing of the process is told."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(gauges))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        seen = self._gauges
        yield _gauge(
            "outbox_messages", "Jobs in the outbox that are due and were not handed to the broker.", seen.outbox
        )
        yield _gauge("outbox_lag_seconds", "How long the oldest of them has been due.", seen.outbox_seconds)
        yield _gauge("inbox_unhandled_events", "Events of the provider that wait to be handled.", seen.unhandled)
        yield _gauge("inbox_oldest_seconds", "How long ago the oldest of them came in.", seen.unhandled_seconds)
        yield _gauge("inbox_parked_events", "Events of the provider that wait for an operator.", seen.parked)
        yield _gauges("requests", "Requests to the provider without an end, by status.", "status", seen.requests)
        yield _gauge(
            "requests_due_seconds", "How long the request that is due first has been due.", seen.requests_due_seconds
        )
        late = "How long each job of the schedule has been due."
        yield _gauges("schedule_late_seconds", late, "job", seen.schedule_seconds)
        missed = "Slots of each job that passed while nobody ran, and were made up for by another."
        yield _gauges("schedule_missed_slots", missed, "job", seen.slots_missed)
        yield _gauge(
            "catch_up_seconds",
            "How long ago the list of events was looked through, of the platform for which it is longest.",
            seen.catch_up_seconds,
        )
        platforms = {one.kind: one.platforms for one in seen.alarms}
        yield _gauges("alarms", "On how many platforms an alarm stands, by kind.", "kind", platforms)
        things = {one.kind: one.things for one in seen.alarms}
        yield _gauges("alarm_things", "How many things wait longer than they should, by kind.", "kind", things)


def _gauge(name: str, help: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"marketbill_{name}", help, value=value)


def _gauges(name: str, help: str, label: str, values: Mapping[str, Any]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"marketbill_{name}", help, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
