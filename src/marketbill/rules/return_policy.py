"""Who bears what when money goes back, by the cause: a matrix of causes and bearers, the platform's own by version."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from marketbill.errors import InvalidInput, Path
from marketbill.rules.refunds import FeesReturned


class Cause(StrEnum):
    """Why money goes back to a buyer.

    SELLER_FAULT: the seller could not deliver, or not what was sold. REMORSE: the buyer changed his mind within the
    policy. GOODWILL: the platform's own fault or kindness. FRAUD: the sale was fraudulent. LOST_DISPUTE: the buyer's
    bank decided for him.
    """

    SELLER_FAULT = "SELLER_FAULT"
    REMORSE = "REMORSE"
    GOODWILL = "GOODWILL"
    FRAUD = "FRAUD"
    LOST_DISPUTE = "LOST_DISPUTE"


class Bearer(StrEnum):
    """Who bears an amount in the end."""

    SELLER = "SELLER"
    PLATFORM = "PLATFORM"


class FeeReturn(StrEnum):
    """Whether a part of the platform's fee goes back with the refund, in proportion, or is kept."""

    RETURNED = "RETURNED"
    KEPT = "KEPT"


class ProviderFeeBearer(StrEnum):
    """Who bears the provider's fee of the sale, which the provider keeps.

    AS_CHARGED: as at the sale, nothing moves. SELLER: what of it he does not bear yet is charged to him, in proportion.
    PLATFORM: the part of it that he was charged goes back to him, in proportion.
    """

    AS_CHARGED = "AS_CHARGED"
    SELLER = "SELLER"
    PLATFORM = "PLATFORM"


@dataclass(frozen=True, slots=True)
class ReturnTerms:
    """The row of one cause. `price` is the sale with its tax. What the rate moved between the sale and the refund of a
    sale that was settled in another currency is no part of it: the platform bears that."""

    price: Bearer
    percent_fee: FeeReturn
    fixed_fee: FeeReturn
    provider_fee: ProviderFeeBearer
    dispute_fee: Bearer

    @property
    def fees(self) -> FeesReturned | None:
        """What of the fees goes back; None when the platform bears the price, for then the sale stands as it is."""
        if self.price is Bearer.PLATFORM:
            return None
        return FeesReturned(
            percent=self.percent_fee is FeeReturn.RETURNED,
            fixed=self.fixed_fee is FeeReturn.RETURNED,
            processor=self.provider_fee is ProviderFeeBearer.PLATFORM,
        )

    @property
    def recharges(self) -> bool:
        """The seller is charged the provider's fee of the sale."""
        return self.price is Bearer.SELLER and self.provider_fee is ProviderFeeBearer.SELLER

    def told(self) -> dict[str, str]:
        """As plain data, for a JSON column."""
        return {
            "price": self.price.value,
            "percent_fee": self.percent_fee.value,
            "fixed_fee": self.fixed_fee.value,
            "provider_fee": self.provider_fee.value,
            "dispute_fee": self.dispute_fee.value,
        }


def terms_of(told: Mapping[str, Any]) -> ReturnTerms:
    """The row that `ReturnTerms.told` wrote."""
    return ReturnTerms(
        price=Bearer(told["price"]),
        percent_fee=FeeReturn(told["percent_fee"]),
        fixed_fee=FeeReturn(told["fixed_fee"]),
        provider_fee=ProviderFeeBearer(told["provider_fee"]),
        dispute_fee=Bearer(told["dispute_fee"]),
    )


class PolicyIncomplete(InvalidInput):
    """A policy that names a cause twice, or leaves one out."""

    def __init__(self, cause: Cause, *, missing: bool, path: Path = ("rows",)) -> None:
        what = "has no row" if missing else "has more than one row"
        super().__init__(
            f"The cause {cause} {what}: a policy has exactly one row for each of {', '.join(Cause)}.",
            path=path,
            constraint="one row per cause",
        )
        self.cause = cause


class FeesWithoutPrice(InvalidInput):
    """Fees that go back to a seller, or a provider's fee that moves, where the platform bears the price: the sale
    stands then, and so do its fees."""

    def __init__(self, cause: Cause, *, path: Path) -> None:
        super().__init__(
            f"For the cause {cause} the platform bears the price, so the sale stands: its fees must be KEPT and the"
            " provider's fee AS_CHARGED.",
            path=path,
            constraint="KEPT, AS_CHARGED where price is PLATFORM",
        )
        self.cause = cause


@dataclass(frozen=True, slots=True)
class ReturnPolicy:
    """The whole matrix. Raises PolicyIncomplete, FeesWithoutPrice. Version 0 is the default."""

    version: int
    rows: Mapping[Cause, ReturnTerms]

    def __post_init__(self) -> None:
        for index, cause in enumerate(Cause):
            row = self.rows.get(cause)
            if row is None:
                raise PolicyIncomplete(cause, missing=True)
            keeps = row.percent_fee is FeeReturn.KEPT and row.fixed_fee is FeeReturn.KEPT
            moves = row.provider_fee is not ProviderFeeBearer.AS_CHARGED
            if row.price is Bearer.PLATFORM and (not keeps or moves):
                raise FeesWithoutPrice(cause, path=("rows", str(index)))

    def told(self) -> dict[str, dict[str, str]]:
        """The rows as plain data, by cause."""
        return {cause.value: row.told() for cause, row in self.rows.items()}


def policy_of(version: int, told: Mapping[str, Mapping[str, Any]]) -> ReturnPolicy:
    """The policy that `ReturnPolicy.told` wrote."""
    return ReturnPolicy(version, {Cause(cause): terms_of(row) for cause, row in told.items()})


def _row(
    price: Bearer, percent: FeeReturn, provider_fee: ProviderFeeBearer, dispute_fee: Bearer = Bearer.PLATFORM
) -> ReturnTerms:
    return ReturnTerms(price, percent, FeeReturn.KEPT, provider_fee, dispute_fee)


DEFAULT = ReturnPolicy(
    0,
    {
        Cause.SELLER_FAULT: _row(
            Bearer.SELLER, FeeReturn.RETURNED, ProviderFeeBearer.AS_CHARGED, dispute_fee=Bearer.SELLER
        ),
        Cause.REMORSE: _row(Bearer.SELLER, FeeReturn.RETURNED, ProviderFeeBearer.PLATFORM),
        Cause.GOODWILL: _row(Bearer.PLATFORM, FeeReturn.KEPT, ProviderFeeBearer.AS_CHARGED),
        Cause.FRAUD: _row(Bearer.SELLER, FeeReturn.RETURNED, ProviderFeeBearer.PLATFORM),
        Cause.LOST_DISPUTE: _row(Bearer.SELLER, FeeReturn.RETURNED, ProviderFeeBearer.PLATFORM),
    },
)
"""What holds for a platform that has published none. The seller bears the price of what he sold, the percentage that
the platform took of it goes back with it, the fixed fee is kept; goodwill alone is the platform's."""
