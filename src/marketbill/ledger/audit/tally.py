"""An account as the journal makes it, posting by posting."""

from typing import NamedTuple

from marketbill.ledger.lag import lag_of


class Totals(NamedTuple):
    """What an account's row says that it holds, in minor units; the instant in microseconds since 1970."""

    debits: int
    credits: int
    pending_debits: int
    pending_credits: int
    latest_effective_at: int | None


NOTHING = Totals(0, 0, 0, 0, None)


class Tally:
    """Running totals of one account. `is_off` once a running balance of its postings was found wrong: those that follow
    are off for the same reason, and not reported."""

    __slots__ = ("code", "credits", "currency", "debits", "is_off", "latest", "pending_credits", "pending_debits")

    def __init__(self, code: str, currency: str) -> None:
        self.code = code
        self.currency = currency
        self.debits = 0
        self.credits = 0
        self.pending_debits = 0
        self.pending_credits = 0
        self.latest: int | None = None
        self.is_off = False

    @property
    def net(self) -> int:
        """Debits minus credits."""
        return self.debits - self.credits

    @property
    def name(self) -> str:
        return f"{self.code} {self.currency}"

    def lag(self, at: int, in_order: int) -> int:
        """A posting's lag (`ledger.lag`); `in_order` when none before it is effective later: it is now the latest."""
        if self.latest is not None and at < self.latest:
            return lag_of(self.latest - at)
        self.latest = at
        return in_order

    def totals(self) -> Totals:
        return Totals(self.debits, self.credits, self.pending_debits, self.pending_credits, self.latest)
