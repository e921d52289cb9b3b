from tests.market.fixtures import machine, market

__all__ = ["machine", "market"]
