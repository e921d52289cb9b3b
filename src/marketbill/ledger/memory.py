"""What a process remembers of the books between batches, so that most need no reading before they are decided."""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import timedelta

from marketbill.ids import PlatformId
from marketbill.ledger.books import AccountKey, Books

#: The most accounts remembered in a process, some 25 MB.
ACCOUNTS_MAX = 50_000


class Memory:
    """The ends of chains and the accounts lately used; only ever a guess at the books.

    `shift` is the sandbox's shift of the platforms' time, as last read.
    """

    def __init__(self) -> None:
        self._books: OrderedDict[PlatformId, Books] = OrderedDict()
        self._left_at: dict[PlatformId, bytes] = {}
        self._accounts = 0
        self.shift = timedelta(0)

    def recall(self, platform: PlatformId, accounts: Iterable[AccountKey]) -> Books | None:
        """The books, when they hold every one of the accounts."""
        books = self._books.get(platform)
        return books if books is not None and all(map(books.accounts.__contains__, accounts)) else None

    def settle(self, platform: PlatformId, books: Books) -> None:
        """What was decided from these books is written; meanwhile they may have made room for others."""
        books.standing = {}
        if self._books.get(platform) is books:
            self._books.move_to_end(platform)
        self._left_at[platform] = books.hash

    def widen(self, platform: PlatformId, read: Books) -> bool:
        """Adds the accounts remembered to those just read under the lock, and tells whether the chain still ends where
        this process left it: while others write the same books, memory would only ever cost a round trip more."""
        is_ours = self._left_at.get(platform, read.hash) == read.hash
        remembered = self._books.get(platform)
        if remembered is not None and (remembered.hash, remembered.revision) == (read.hash, read.revision):
            read.accounts = {**remembered.accounts, **read.accounts}
        return is_ours

    def keep(self, platform: PlatformId, books: Books, *, is_ours: bool) -> None:
        """Remembers what was written under the lock; what was used least lately makes room."""
        self.forget((platform,))
        self._left_at[platform] = books.hash
        if not is_ours:
            return
        books.standing, books.named = {}, {}
        self._books[platform] = books
        self._accounts += len(books.accounts)
        while self._accounts > ACCOUNTS_MAX:
            self.forget((next(iter(self._books)),))

    def forget(self, platforms: Iterable[PlatformId]) -> None:
        for platform in platforms:
            books = self._books.pop(platform, None)
            if books is not None:
                self._accounts -= len(books.accounts)
