"""Stripe's refunds, transfer reversals, disputes, early fraud warnings and top-ups.

Balance transactions are asked for with their objects, so that one answer tells what happened and what it cost.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from marketbill.provider.objects import Dispute, FraudWarning, Refund, Reversal, TopUp, Transfer
from marketbill.provider.stripe import reading
from marketbill.provider.stripe.units import to_stripe
from marketbill.provider.stripe.wire import Wire, path_of

if TYPE_CHECKING:
    from stripe.params import (
        DisputeCloseParams,
        DisputeUpdateParams,
        RefundCreateParams,
        TopupCreateParams,
        TransferCreateReversalParams,
    )

_REFUND = ("balance_transaction", "failure_balance_transaction")
_DISPUTE = ("balance_transactions",)
_TOP_UP = ("balance_transaction",)


class StripeReturns:
    """The part of the adapter that is about money that comes back."""

    _wire: Wire

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
        params: RefundCreateParams = {
            "charge": charge,
            "amount": to_stripe(amount, currency),
            "metadata": dict(metadata),
            "expand": list(_REFUND),
        }
        if reason is not None:
            params["reason"] = reason  # pyright: ignore[reportGeneralTypeIssues]
        return await self._wire.call("post", "/v1/refunds", reading.refund, params, key=key)

    async def retrieve_refund(self, refund_id: str) -> Refund:
        params = {"expand": list(_REFUND)}
        return await self._wire.call("get", f"/v1/refunds/{path_of(refund_id)}", reading.refund, params)

    async def find_refunds(self, charge: str) -> list[Refund]:
        return await self._wire.list("/v1/refunds", reading.refund, {"charge": charge, "expand": _each(_REFUND)})

    async def retrieve_transfer(self, transfer_id: str) -> Transfer:
        return await self._wire.call("get", f"/v1/transfers/{path_of(transfer_id)}", reading.transfer)

    async def reverse_transfer(
        self, transfer_id: str, *, key: str, amount: int, currency: str, metadata: Mapping[str, str]
    ) -> Reversal:
        params: TransferCreateReversalParams = {"amount": to_stripe(amount, currency), "metadata": dict(metadata)}
        url = f"/v1/transfers/{path_of(transfer_id)}/reversals"
        return await self._wire.call("post", url, reading.reversal, params, key=key)

    async def find_reversals(self, transfer_id: str) -> list[Reversal]:
        return await self._wire.list(f"/v1/transfers/{path_of(transfer_id)}/reversals", reading.reversal)

    async def retrieve_dispute(self, dispute_id: str) -> Dispute:
        params = {"expand": list(_DISPUTE)}
        return await self._wire.call("get", f"/v1/disputes/{path_of(dispute_id)}", reading.dispute, params)

    async def find_disputes(self, charge: str) -> list[Dispute]:
        return await self._wire.list("/v1/disputes", reading.dispute, {"charge": charge, "expand": _each(_DISPUTE)})

    async def submit_evidence(self, dispute_id: str, *, key: str, evidence: Mapping[str, str], submit: bool) -> Dispute:
        params: DisputeUpdateParams = {
            "evidence": dict(evidence),  # pyright: ignore[reportAssignmentType]
            "submit": submit,
            "expand": list(_DISPUTE),
        }
        return await self._wire.call("post", f"/v1/disputes/{path_of(dispute_id)}", reading.dispute, params, key=key)

    async def accept_dispute(self, dispute_id: str, *, key: str) -> Dispute:
        params: DisputeCloseParams = {"expand": list(_DISPUTE)}
        url = f"/v1/disputes/{path_of(dispute_id)}/close"
        return await self._wire.call("post", url, reading.dispute, params, key=key)

    async def retrieve_fraud_warning(self, warning_id: str) -> FraudWarning:
        url = f"/v1/radar/early_fraud_warnings/{path_of(warning_id)}"
        return await self._wire.call("get", url, reading.fraud_warning)

    async def find_fraud_warnings(self, charge: str) -> list[FraudWarning]:
        return await self._wire.list("/v1/radar/early_fraud_warnings", reading.fraud_warning, {"charge": charge})

    async def create_top_up(
        self, *, key: str, amount: int, currency: str, description: str, metadata: Mapping[str, str]
    ) -> TopUp:
        params: TopupCreateParams = {
            "amount": to_stripe(amount, currency),
            "currency": currency.lower(),
            "description": description,
            "metadata": dict(metadata),
            "expand": list(_TOP_UP),
        }
        return await self._wire.call("post", "/v1/topups", reading.top_up, params, key=key)

    async def retrieve_top_up(self, top_up_id: str) -> TopUp:
        params: dict[str, Any] = {"expand": list(_TOP_UP)}
        return await self._wire.call("get", f"/v1/topups/{path_of(top_up_id)}", reading.top_up, params)


def _each(fields: tuple[str, ...]) -> list[str]:
    """What is expanded of an object, for each one of a list."""
    return [f"data.{field}" for field in fields]
