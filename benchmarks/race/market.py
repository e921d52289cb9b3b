"""The market that both ledgers book: platforms, sellers, and payments of five linked postings with exact amounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

CURRENCY = "EUR"
COUNTRY = "DE"
POSTINGS = 5
"""Of one payment: charge, platform fee, tax on the fee, provider's fee, and what is left becomes payable."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One sale of one seller; amounts in minor units. `net` is what the seller may be paid."""

    platform: int
    seller: int
    gross: int
    fee: int
    fee_tax: int
    provider_fee: int

    @property
    def net(self) -> int:
        return self.gross - self.fee - self.fee_tax


@dataclass(frozen=True, slots=True)
class Course:
    """Whose payments are made: those of `count` platforms from the `first` on. A hot course is one platform alone."""

    first: int
    count: int
    sellers: int

    @property
    def name(self) -> str:
        return "1 platform" if self.is_hot else f"{self.count} platforms"

    @property
    def is_hot(self) -> bool:
        return self.count == 1

    def payments(self, count: int, *, seed: int = 7) -> Sequence[Payment]:
        """Sales of random sellers of random platforms, the same for every ledger."""
        random = Random(seed)
        return [
            payment(
                self.first + random.randrange(self.count), random.randrange(self.sellers), random.randint(1_000, 50_000)
            )
            for _ in range(count)
        ]


@dataclass(frozen=True, slots=True)
class Market:
    """So many platforms that are used together, one more that is used alone, and the sellers of each."""

    many_platforms: int = 50
    sellers: int = 200

    @property
    def many(self) -> Course:
        return Course(0, self.many_platforms, self.sellers)

    @property
    def hot(self) -> Course:
        return Course(self.many_platforms, 1, self.sellers)

    @property
    def platforms(self) -> int:
        return self.many_platforms + 1


def payment(platform: int, seller: int, gross: int) -> Payment:
    """A fee of 10 % with 19 % tax on it; the provider keeps 1.5 % and 25."""
    fee = gross // 10
    return Payment(platform, seller, gross, fee, fee * 19 // 100, gross * 15 // 1000 + 25)
