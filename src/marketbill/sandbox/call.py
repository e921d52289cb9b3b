"""One API request on its way through a handler."""

from __future__ import annotations

from dataclasses import dataclass, field

from marketbill.sandbox.desk import Desk
from marketbill.sandbox.store import Store
from marketbill.sandbox.wire import Doc, missing, no_access


@dataclass(slots=True)
class Call:
    """Who asks (``platform``, by its key), on whose account (``account``), and for what."""

    desk: Desk
    platform: str
    account: str
    secret_key: str
    params: Doc
    path: dict[str, str] = field(default_factory=dict)
    tree: Doc = field(default_factory=dict)
    #: Headers that the handler adds to a good answer.
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.desk.store

    @property
    def now(self) -> int:
        return self.desk.clock.now()

    def named(self, kind: str, *, id_in: str = "id", param: str = "id", name: str | None = None) -> Doc:
        """Return the object that the path names, of the acting account.

        :raises ApiError: 404 ``resource_missing`` with ``param``.
        """
        identifier = self.path[id_in]
        doc = self.store.find(kind, identifier, self.account)
        if doc is None:
            raise missing(name or kind, identifier, param=param)
        return doc

    def named_part(self, kind: str, *, of: str, field: str) -> Doc:
        """Return the object that the path names below another, which its ``field`` (so the path too) names.

        :raises ApiError: 404 ``resource_missing``, for either of the two.
        """
        whole = self.named(of, id_in=field, name=of.replace("_", " "))
        part = self.named(kind, name=kind.replace("_", " "))
        if part[field] != whole["id"]:
            raise missing(kind.replace("_", " "), part["id"])
        return part

    def reachable_account(self, identifier: str | None = None) -> Doc:
        """Return the account that the path (or ``identifier``) names: the platform's own or one connected to it.

        :raises ApiError: 403 ``account_invalid``, also for an account that does not exist.
        """
        wanted = identifier if identifier is not None else self.path["account"]
        doc = self.store.find("account", wanted)
        if doc is None or doc["_deleted"] is not None or self.desk.platform_of(wanted) != self.platform:
            raise no_access(self.secret_key, wanted)
        return doc
