"""The port's part on money that comes back: refunds, reversals of transfers, disputes, fraud warnings, and top-ups.

The methods raise what every method of the port raises (`provider.port`); amounts are minor units.
"""

from collections.abc import Mapping
from typing import Protocol

from marketbill.provider.objects import Dispute, FraudWarning, Refund, Reversal, TopUp, Transfer


class TakesBack(Protocol):
    """What a provider does with money after a sale."""

    async def create_refund(
        self,
        *,
        key: str,
        charge: str,
        amount: int,
        currency: str,
        reason: str | None,
        metadata: Mapping[str, str],
    ) -> Refund:
        """Gives a part of a charge back to its card. `currency` is the charge's; `reason` is one of the provider's
        (`duplicate`, `fraudulent`, `requested_by_customer`) or None."""
        ...

    async def retrieve_refund(self, refund_id: str) -> Refund: ...

    async def find_refunds(self, charge: str) -> list[Refund]:
        """All refunds of a charge, newest first."""
        ...

    async def retrieve_transfer(self, transfer_id: str) -> Transfer: ...

    async def reverse_transfer(
        self, transfer_id: str, *, key: str, amount: int, currency: str, metadata: Mapping[str, str]
    ) -> Reversal:
        """Takes a part of a transfer back from the seller's account to the platform's balance."""
        ...

    async def find_reversals(self, transfer_id: str) -> list[Reversal]:
        """All reversals of a transfer, newest first."""
        ...

    async def retrieve_dispute(self, dispute_id: str) -> Dispute:
        """A dispute with all its balance transactions, in one call."""
        ...

    async def find_disputes(self, charge: str) -> list[Dispute]:
        """All disputes of a charge, newest first."""
        ...

    async def submit_evidence(self, dispute_id: str, *, key: str, evidence: Mapping[str, str], submit: bool) -> Dispute:
        """Adds evidence, by the provider's names of its fields; `submit` hands it to the bank, which happens once."""
        ...

    async def accept_dispute(self, dispute_id: str, *, key: str) -> Dispute:
        """Gives a dispute up: it is lost, for good."""
        ...

    async def retrieve_fraud_warning(self, warning_id: str) -> FraudWarning: ...

    async def find_fraud_warnings(self, charge: str) -> list[FraudWarning]:
        """All fraud warnings about a charge, newest first."""
        ...

    async def create_top_up(
        self, *, key: str, amount: int, currency: str, description: str, metadata: Mapping[str, str]
    ) -> TopUp:
        """Moves money from the platform's bank onto its balance."""
        ...

    async def retrieve_top_up(self, top_up_id: str) -> TopUp: ...
