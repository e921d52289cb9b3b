"""Time: one clock for a process, aware UTC only. A platform's time can be moved in the sandbox (`db.Scope.now`)."""

from datetime import UTC, datetime


def now() -> datetime:
    """The machine's time, aware UTC. Business rules take `Scope.now` instead, which a sandbox clock can move."""
    return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`, microseconds only when there are any."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
