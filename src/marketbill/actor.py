"""Who is asking: the verified credential of a request."""

from dataclasses import dataclass
from enum import StrEnum

from marketbill.ids import BuyerId, PlatformId, SellerId


class Role(StrEnum):
    """What a credential may do. BOOTSTRAP may only create platforms; SELLER and BUYER see only their own rows."""

    BOOTSTRAP = "BOOTSTRAP"
    OPERATOR = "OPERATOR"
    OPERATOR_READONLY = "OPERATOR_READONLY"
    SERVICE = "SERVICE"
    SELLER = "SELLER"
    BUYER = "BUYER"


@dataclass(frozen=True, slots=True)
class Actor:
    """A verified credential. `id` names it in idempotency keys and logs (`key_…`, `sel_…`, `buy_…`, `bootstrap`).

    `platform` is None for BOOTSTRAP only; `seller` is set for SELLER only, `buyer` for BUYER only.
    """

    role: Role
    id: str
    platform: PlatformId | None = None
    seller: SellerId | None = None
    buyer: BuyerId | None = None
