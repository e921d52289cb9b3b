"""The chart of accounts: which accounts a platform's books have, per currency.

The chart is data: `CHART` lists the families of accounts, and whatever is no member of one is refused, so an
`AccountRef` is always an account of the chart. It describes an account; the journal opens it when the first posting
needs it. Assets and expenses grow on the debit side, liabilities, revenue and equity on the credit side; contra revenue
is revenue that was given back and grows on the debit side. The custody accounts mirror what a seller holds in its
account at the provider: they stand off the balance sheet and net to zero per seller and currency.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from marketbill.errors import InvalidInput, NotFound, Path
from marketbill.ids import SellerId, parse_id, public_id
from marketbill.money import exponent

#: The most accounts that a process remembers, some 20 MB.
REMEMBERED_MAX = 50_000

_SHOWN_MAX = 100


class UnknownAccount(InvalidInput):
    """No account of the chart; `constraint` is the rule that its name breaks."""

    def __init__(self, account: str, rule: str, *, path: Path = ()) -> None:
        super().__init__(f"The chart has no account {account[:_SHOWN_MAX]!r}: {rule}.", path=path, constraint=rule)
        self.account = account


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
    """NOT_NEGATIVE: an entry after which what is available, on the account's own side, were below zero is refused."""

    NONE = "NONE"
    NOT_NEGATIVE = "NOT_NEGATIVE"


class AccountState(StrEnum):
    """OPEN takes postings. FROZEN takes none until it is opened again, CLOSED none ever; a closed account is empty."""

    OPEN = "OPEN"
    FROZEN = "FROZEN"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose account it is: the object's kind as in `ids.PREFIX` ("seller", "dispute") and its id."""

    type: str
    id: UUID


@dataclass(frozen=True, slots=True)
class Part:
    """What stands in an account's code for the `*` of its family: an owner's public id, or a name of a certain form."""

    name: str
    rule: str
    form: re.Pattern[str] | None = None

    def text(self, value: UUID | str | None, family: str) -> str:
        """As it is written in the code. Raises UnknownAccount for what does not fit."""
        if self.form is None and isinstance(value, UUID):
            return public_id(self.name, value)
        if self.form is not None and isinstance(value, str) and self.form.fullmatch(value):
            return value
        shown = family if value is None else family.replace("*", str(value))
        raise UnknownAccount(shown, f"{self.rule} stands for the * of {family}")


SELLER = Part("seller", "a seller's id")
DISPUTE = Part("dispute", "a dispute's id")
COUNTRY = Part("country", "a country's two letters (ISO 3166-1)", re.compile("[A-Z]{2}", re.ASCII))
JURISDICTION = Part(
    "jurisdiction",
    "a country's two letters or a subdivision's code such as US-CA (ISO 3166)",
    re.compile("[A-Z]{2}(-[A-Z0-9]{1,3})?", re.ASCII),
)
NAME = Part(
    "name",
    "a name of at most 40 small letters, digits and single hyphens",
    re.compile("(?=.{1,40}$)[a-z0-9]+(-[a-z0-9]+)*", re.ASCII),
)


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Accounts of one meaning. `pattern` is their code, with `*` where `part` stands."""

    pattern: str
    kind: AccountKind
    side: Side
    meaning: str
    part: Part | None = None
    guard: Guard = Guard.NONE


def _debit(
    kind: AccountKind, pattern: str, meaning: str, part: Part | None = None, guard: Guard = Guard.NONE
) -> Family:
    return Family(pattern, kind, Side.DEBIT, meaning, part, guard)


def _credit(
    kind: AccountKind, pattern: str, meaning: str, part: Part | None = None, guard: Guard = Guard.NONE
) -> Family:
    return Family(pattern, kind, Side.CREDIT, meaning, part, guard)


_ASSET, _LIABILITY, _REVENUE = AccountKind.ASSET, AccountKind.LIABILITY, AccountKind.REVENUE
_EXPENSE, _CUSTODY, _NOT_NEGATIVE = AccountKind.EXPENSE, AccountKind.CUSTODY, Guard.NOT_NEGATIVE

BANK = _debit(_ASSET, "bank", "The platform's own bank account.")
PSP_PENDING = _debit(_ASSET, "psp:pending", "Money at the payment provider that is not available yet.")
PSP_AVAILABLE = _debit(_ASSET, "psp:available", "Money at the payment provider that can be transferred.")
PSP_RESERVED = _debit(_ASSET, "psp:reserved", "Money that the payment provider keeps back as its reserve.")
RECEIVABLE = _debit(_ASSET, "ar", "Accounts receivable: what the platform has invoiced and not been paid.")
SELLER_RECEIVABLE = _debit(
    _ASSET,
    "seller-receivable:*",
    "What a seller owes the platform: refunds and lost disputes that its balance did not cover.",
    SELLER,
    _NOT_NEGATIVE,
)
DISPUTED = _debit(_ASSET, "dispute:*", "Money that the provider has withdrawn for a dispute still open.", DISPUTE)
CONTRACT_ASSET = _debit(_ASSET, "contract-asset", "Usage that was delivered and not yet invoiced.")
SUSPENSE_PSP = _debit(_ASSET, "suspense:psp", "Provider amounts without a known source; zero when a period is closed.")

SELLER_PENDING = _credit(
    _LIABILITY,
    "seller:*:pending",
    "What the platform owes a seller for sales whose hold has not ended.",
    SELLER,
    _NOT_NEGATIVE,
)
SELLER_PAYABLE = _credit(
    _LIABILITY, "seller:*:payable", "What the platform owes a seller and may transfer now.", SELLER, _NOT_NEGATIVE
)
SELLER_RESERVE = _credit(
    _LIABILITY, "seller:*:reserve", "What the platform keeps back from a seller for a time.", SELLER, _NOT_NEGATIVE
)
UNASSIGNED = _credit(_LIABILITY, "unassigned", "Buyers' money for which no seller is known yet.", guard=_NOT_NEGATIVE)
REFUND_PAYABLE = _credit(
    _LIABILITY, "buyer:refund-payable", "Refunds that were approved and not yet paid.", guard=_NOT_NEGATIVE
)
BUYER_CREDIT = _credit(
    _LIABILITY, "buyer:credit", "Credit that buyers may spend on later purchases.", guard=_NOT_NEGATIVE
)
DEFERRED_REVENUE = _credit(
    _LIABILITY, "deferred-revenue", "Invoiced subscriptions that are not earned yet.", guard=_NOT_NEGATIVE
)
BANK_CLEARING = _credit(
    _LIABILITY,
    "bank:clearing",
    "Payouts ordered at the platform's bank that it has not carried out yet.",
    guard=_NOT_NEGATIVE,
)
OUTPUT_VAT = _credit(
    _LIABILITY, "tax:output-vat:*", "Tax on what the platform itself sells, owed to the country's tax office.", COUNTRY
)
DEEMED_TAX = _credit(
    _LIABILITY,
    "tax:deemed:*",
    "Tax on sellers' sales that the platform owes as deemed supplier or marketplace facilitator.",
    JURISDICTION,
)
WITHHELD_TAX = _credit(
    _LIABILITY, "tax:withheld:*", "Tax kept from sellers' payments, owed under the scheme of this name.", NAME
)

PLATFORM_FEE = _credit(_REVENUE, "revenue:platform-fee", "The platform's fee on sales, without tax.")
OWN_FEE = _credit(
    _REVENUE, "revenue:platform-fee:*", "A further fee of the platform's own, under the name it gives it.", NAME
)
FEE_REFUNDED = _debit(_REVENUE, "revenue:platform-fee-refunded", "Contra revenue: platform fees that were given back.")
SUBSCRIPTION = _credit(
    _REVENUE, "revenue:subscription", "Subscriptions and usage that sellers have paid for, as earned."
)
FX_MARGIN = _credit(_REVENUE, "revenue:fx-margin", "The platform's markup on currency conversions.")
DISPUTE_RECHARGE = _credit(_REVENUE, "revenue:dispute-recharge", "Dispute fees that sellers were charged for.")

PSP_FEE = _debit(_EXPENSE, "expenses:psp-fee", "What the payment provider charges the platform.")
DISPUTE_FEE = _debit(_EXPENSE, "expenses:dispute-fee", "What the provider charges for disputes received and contested.")
DISPUTE_LOSS = _debit(_EXPENSE, "expenses:dispute-loss", "Lost disputes that the platform bears itself.")
PROMO = _debit(_EXPENSE, "expenses:promo", "Discounts that the platform pays for its sellers.")
GOODWILL = _debit(_EXPENSE, "expenses:goodwill", "Refunds and guarantees that the platform bears in a seller's place.")
BAD_DEBT = _debit(_EXPENSE, "expenses:bad-debt", "Debts of sellers and customers that were written off.")
FX_LOSS = _debit(_EXPENSE, "expenses:fx-loss", "What rates cost between two conversions; gains stand against it.")
ROUNDING = _debit(_EXPENSE, "expenses:rounding", "Residues below the smallest amount that can be moved.")

FX_POSITION = _credit(
    AccountKind.EQUITY,
    "equity:fx-position",
    "The open position of currency conversions; every conversion closes it in both currencies.",
)

CUSTODY_AVAILABLE = _debit(
    _CUSTODY,
    "custody:*:available",
    "What a seller holds in its account at the provider and has not asked to be paid out.",
    SELLER,
    _NOT_NEGATIVE,
)
CUSTODY_IN_TRANSIT = _debit(
    _CUSTODY,
    "custody:*:in-transit",
    "Payouts on their way from the provider to the seller's bank.",
    SELLER,
    _NOT_NEGATIVE,
)
CUSTODY_OWED = _credit(_CUSTODY, "custody:*:owed", "The other side of the two custody accounts above.", SELLER)

CHART = tuple(family for family in globals().values() if isinstance(family, Family))
"""Every family of accounts, in the order of the balance sheet; custody stands at the end, off it."""

_BY_PATTERN = {family.pattern: family for family in CHART}


@dataclass(frozen=True, slots=True)
class AccountRef:
    """One account of the chart: a family, a currency, and `of`, which stands for the `*` of the family's pattern.

    The rest follows from the family: the code, which names the account together with the currency, and how it behaves
    once opened. `ceiling` is the most it may hold with what is pending towards it, in minor units on its own side; None
    for no limit. It counts when the account is opened; later its row's does.

    Raises UnknownAccount for what is not in the chart, UnknownCurrency.
    """

    family: Family = field(compare=False)
    currency: str
    of: UUID | str | None = field(default=None, compare=False)
    ceiling: int | None = None
    code: str = field(init=False)
    owner: Owner | None = field(init=False, compare=False)
    kind: AccountKind = field(init=False, compare=False)
    side: Side = field(init=False, compare=False)
    guard: Guard = field(init=False, compare=False)

    def __post_init__(self) -> None:
        family, part = self.family, self.family.part
        code, owner = family.pattern, None
        if _BY_PATTERN.get(code) is not family:
            raise UnknownAccount(code, "its family is not in the chart")
        exponent(self.currency)
        if part is not None:
            code = code.replace("*", part.text(self.of, code))
            owner = Owner(part.name, self.of) if isinstance(self.of, UUID) else None
        elif self.of is not None:
            raise UnknownAccount(f"{code}:{self.of}", f"{code} is one account")
        put = object.__setattr__
        put(self, "code", code)
        put(self, "owner", owner)
        put(self, "kind", family.kind)
        put(self, "side", family.side)
        put(self, "guard", family.guard)


@lru_cache(maxsize=REMEMBERED_MAX)
def account(family: Family, currency: str, of: UUID | str | None = None) -> AccountRef:
    """The account of a family: `of` is the seller, dispute, country or name that stands for the `*` of its pattern.

    Raises UnknownAccount when that is missing or of the wrong form, UnknownCurrency.
    """
    return AccountRef(family, currency, of)


def named(code: str, currency: str) -> AccountRef:
    """The account of this code. Raises UnknownAccount, UnknownCurrency."""
    family, text = _family_of(code)
    if family.part is None or family.part.form is not None:
        return account(family, currency, text)
    try:
        return account(family, currency, parse_id(family.part.name, text or ""))
    except NotFound:
        raise UnknownAccount(code, f"{family.part.rule} stands for the * of {family.pattern}") from None


def _family_of(code: str) -> tuple[Family, str | None]:
    if code in _BY_PATTERN and "*" not in code:
        return _BY_PATTERN[code], None
    parts = code.split(":")
    for place in range(1, len(parts)):
        family = _BY_PATTERN.get(":".join([*parts[:place], "*", *parts[place + 1 :]]))
        if family is not None:
            return family, parts[place]
    raise UnknownAccount(code, "it belongs to no family of the chart")


def bank(currency: str) -> AccountRef:
    """The platform's own bank account."""
    return account(BANK, currency)


def bank_clearing(currency: str) -> AccountRef:
    """Payouts ordered at the platform's bank that it has not carried out yet."""
    return account(BANK_CLEARING, currency)


def psp_pending(currency: str) -> AccountRef:
    """Money at the payment provider that is not available yet."""
    return account(PSP_PENDING, currency)


def psp_available(currency: str) -> AccountRef:
    """Money at the payment provider that can be transferred."""
    return account(PSP_AVAILABLE, currency)


def seller_pending(seller: SellerId, currency: str) -> AccountRef:
    """What the platform owes a seller for sales whose hold has not ended."""
    return account(SELLER_PENDING, currency, seller)


def seller_payable(seller: SellerId, currency: str) -> AccountRef:
    """What the platform owes a seller and may transfer now."""
    return account(SELLER_PAYABLE, currency, seller)


def seller_reserve(seller: SellerId, currency: str) -> AccountRef:
    """What the platform keeps back from a seller for a time."""
    return account(SELLER_RESERVE, currency, seller)


def seller_receivable(seller: SellerId, currency: str) -> AccountRef:
    """What a seller owes the platform."""
    return account(SELLER_RECEIVABLE, currency, seller)


def platform_fee(currency: str) -> AccountRef:
    """The platform's fee revenue, without tax."""
    return account(PLATFORM_FEE, currency)


def output_vat(country: str, currency: str) -> AccountRef:
    """Tax on the platform's fee, owed to the tax office of `country` (ISO 3166 alpha-2)."""
    return account(OUTPUT_VAT, currency, country)


def psp_fee(currency: str) -> AccountRef:
    """What the payment provider charges the platform."""
    return account(PSP_FEE, currency)


def custody_available(seller: SellerId, currency: str) -> AccountRef:
    """What a seller holds in its account at the provider and has not asked to be paid out."""
    return account(CUSTODY_AVAILABLE, currency, seller)


def custody_in_transit(seller: SellerId, currency: str) -> AccountRef:
    """Payouts on their way from the provider to the seller's bank."""
    return account(CUSTODY_IN_TRANSIT, currency, seller)


def custody_owed(seller: SellerId, currency: str) -> AccountRef:
    """The other side of the two custody accounts above."""
    return account(CUSTODY_OWED, currency, seller)
