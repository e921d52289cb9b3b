"""The rails of payouts, as the schema names them."""

import strawberry

from marketbill.payouts.model import Rail

__all__ = ["Rail"]

strawberry.enum(
    Rail, name="PayoutRail", description="PROVIDER pays out at the provider, BANK by the platform's own bank."
)
