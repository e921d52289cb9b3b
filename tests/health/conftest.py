from tests.events.conftest import db, platform
from tests.market.fixtures import machine, market

__all__ = ["db", "machine", "market", "platform"]
