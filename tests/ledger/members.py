"""An account of each family of the chart."""

from uuid import UUID

from marketbill.ledger import chart
from marketbill.ledger.chart import AccountRef, Family

ID = UUID(int=5)
_OF = {"seller": ID, "dispute": ID, "country": "NL", "jurisdiction": "US-CA", "name": "listing-fee"}


def member(family: Family, currency: str = "EUR") -> AccountRef:
    return chart.account(family, currency, _OF[family.part.name] if family.part else None)


def another(family: Family, currency: str = "EUR") -> AccountRef:
    """A second account of a family that has one for each seller."""
    return chart.account(family, currency, UUID(int=6))
