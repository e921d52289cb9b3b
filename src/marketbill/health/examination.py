"""The examination: everything that is late or wrong, of the processes and of all platforms, named for a person."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from marketbill.db import Database
from marketbill.health.findings import NAMED_MAX, Finding, Late, advice, count_late, name_late
from marketbill.health.processes import judge, read_signs, schema_finding
from marketbill.health.waits import WAITS
from marketbill.ids import PlatformId, public_id

#: Platforms whose things are named one by one; of the others it is told how many there are.
PLATFORMS_NAMED_MAX = 100


async def examine(
    db: Database, platforms: Collection[PlatformId] | None = None, *, everything: bool = False
) -> list[Finding]:
    """Findings of the processes first, then by platform; `platforms` of None are all. Raises Unavailable.

    With `everything`, what waits within its limit is told of too.
    """
    schema = await schema_finding(db)
    if schema is not None:
        return [schema]
    async with db.system() as scope:
        found = judge(await read_signs(scope))
        late = await count_late(scope, everything=everything)
        now = scope.now
    by_platform: defaultdict[PlatformId, list[Late]] = defaultdict(list)
    for one in late:
        if platforms is None or one.platform in platforms:
            by_platform[one.platform].append(one)
    for place, (platform, kinds) in enumerate(by_platform.items()):
        named_max = 0
        if place < PLATFORMS_NAMED_MAX:
            async with db.read(platform) as scope:
                found += await name_late(scope, {one.kind for one in kinds}, everything=everything)
            named_max = NAMED_MAX
        found += [_counted(one, one.number - named_max, now) for one in kinds if one.number > named_max]
    return found


def _counted(late: Late, number: int, now: datetime) -> Finding:
    wait = WAITS[late.kind]
    return Finding(
        kind=late.kind,
        what=f"{number:,} more: {wait.words}",
        since=late.since,
        limit=wait.limit,
        to_do=advice(wait, "ID", since=late.since, now=now),
        platform=public_id("platform", late.platform),
    )
