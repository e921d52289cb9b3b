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


BACKEND = frozenset({Role.OPERATOR, Role.OPERATOR_READONLY, Role.SERVICE})


@dataclass(frozen=True, slots=True)
class Actor:
    """A verified credential. `id` names it in logs (`key_…`, `sel_…`, `buy_…`, `bootstrap`).

    `platform` is None for BOOTSTRAP only; `seller` is set for SELLER only, `buyer` for BUYER only.
    """

    role: Role
    id: str
    platform: PlatformId | None = None
    seller: SellerId | None = None
    buyer: BuyerId | None = None

    @property
    def idempotency_scope(self) -> str:
        """Whose idempotency keys are one name space: a seller's or buyer's own, all of a platform's backend together.

        A backend that retries after its API key was rotated, or from another of its services, sends the same request.
        """
        return "backend" if self.role in BACKEND else self.id
