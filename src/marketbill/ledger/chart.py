"""The chart of accounts: which accounts a platform's books have, per currency.

An `AccountRef` describes an account; the journal opens it when the first posting needs it. Assets and expenses grow on
the debit side, liabilities, revenue and equity on the credit side. The custody accounts mirror what a seller holds in
its account at the provider: they stand off the balance sheet and net to zero per seller and currency.
"""

from dataclasses import dataclass
from enum import StrEnum

from marketbill.ids import SellerId, public_id
from marketbill.money import exponent


class AccountKind(StrEnum):
    """What an account counts."""

    ASSET = "ASSET"
    LIABILITY = "LIABILITY"
    REVENUE = "REVENUE"
    EXPENSE = "EXPENSE"
    EQUITY = "EQUITY"
    CUSTODY = "CUSTODY"


class Side(StrEnum):
    """The side on which an account's balance is read as positive."""

    DEBIT = "DEBIT"
    CREDIT = "CREDIT"


class Guard(StrEnum):
    """NOT_NEGATIVE: an entry after which the balance, on the account's own side, were below zero is refused."""

    NONE = "NONE"
    NOT_NEGATIVE = "NOT_NEGATIVE"


@dataclass(frozen=True, slots=True)
class AccountRef:
    """One account of the chart: `code` and `currency` name it, the rest says how it behaves once opened."""

    code: str
    currency: str
    kind: AccountKind
    seller: SellerId | None = None
    guard: Guard = Guard.NONE

    @property
    def side(self) -> Side:
        """Debit for assets, expenses and what a seller holds in custody; credit for everything else."""
        if self.kind is AccountKind.CUSTODY:
            return Side.CREDIT if self.code.endswith(":owed") else Side.DEBIT
        return Side.DEBIT if self.kind in (AccountKind.ASSET, AccountKind.EXPENSE) else Side.CREDIT


def bank(currency: str) -> AccountRef:
    """The platform's own bank account."""
    return _ref("bank", currency, AccountKind.ASSET)


def psp_pending(currency: str) -> AccountRef:
    """Money at the payment provider that is not available yet."""
    return _ref("psp:pending", currency, AccountKind.ASSET)


def psp_available(currency: str) -> AccountRef:
    """Money at the payment provider that can be transferred."""
    return _ref("psp:available", currency, AccountKind.ASSET)


def seller_pending(seller: SellerId, currency: str) -> AccountRef:
    """What the platform owes a seller for sales whose hold has not ended."""
    return _seller_ref("seller", seller, "pending", currency, AccountKind.LIABILITY, Guard.NOT_NEGATIVE)


def seller_payable(seller: SellerId, currency: str) -> AccountRef:
    """What the platform owes a seller and may transfer now."""
    return _seller_ref("seller", seller, "payable", currency, AccountKind.LIABILITY, Guard.NOT_NEGATIVE)


def platform_fee(currency: str) -> AccountRef:
    """The platform's fee revenue, without tax."""
    return _ref("revenue:platform-fee", currency, AccountKind.REVENUE)


def output_vat(country: str, currency: str) -> AccountRef:
    """Tax on the platform's fee, owed to the tax office of `country` (ISO 3166 alpha-2)."""
    return _ref(f"tax:output-vat:{country}", currency, AccountKind.LIABILITY)


def psp_fee(currency: str) -> AccountRef:
    """What the payment provider charges the platform."""
    return _ref("expenses:psp-fee", currency, AccountKind.EXPENSE)


def custody_available(seller: SellerId, currency: str) -> AccountRef:
    """What a seller holds in its account at the provider and has not asked to be paid out."""
    return _seller_ref("custody", seller, "available", currency, AccountKind.CUSTODY, Guard.NOT_NEGATIVE)


def custody_in_transit(seller: SellerId, currency: str) -> AccountRef:
    """Payouts on their way from the provider to the seller's bank."""
    return _seller_ref("custody", seller, "in-transit", currency, AccountKind.CUSTODY, Guard.NOT_NEGATIVE)


def custody_owed(seller: SellerId, currency: str) -> AccountRef:
    """The other side of the two custody accounts above."""
    return _seller_ref("custody", seller, "owed", currency, AccountKind.CUSTODY, Guard.NONE)


def fx_position(currency: str) -> AccountRef:
    """The open position of currency conversions; every conversion closes it in both currencies."""
    return _ref("equity:fx-position", currency, AccountKind.EQUITY)


def suspense_psp(currency: str) -> AccountRef:
    """Provider amounts without a known source; zero when a period is closed."""
    return _ref("suspense:psp", currency, AccountKind.ASSET)


def _ref(code: str, currency: str, kind: AccountKind) -> AccountRef:
    exponent(currency)
    return AccountRef(code=code, currency=currency, kind=kind)


def _seller_ref(
    family: str, seller: SellerId, bucket: str, currency: str, kind: AccountKind, guard: Guard
) -> AccountRef:
    exponent(currency)
    code = f"{family}:{public_id('seller', seller)}:{bucket}"
    return AccountRef(code=code, currency=currency, kind=kind, seller=seller, guard=guard)
