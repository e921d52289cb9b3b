"""What a process remembers of the books is bounded, and never more than a guess."""

import pytest
from tests.ledger.moves import NOON, PSP

from marketbill.ids import PlatformId, new_id
from marketbill.ledger import memory
from marketbill.ledger.books import Books, OpenAccount
from marketbill.ledger.chain import GENESIS


def test_books_that_made_room_while_they_were_written_are_no_error(
    platform: PlatformId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "ACCOUNTS_MAX", 1)
    one, two = (Books(0, 0, GENESIS, NOON, None, 0, {(PSP.code, "EUR"): OpenAccount(new_id(), PSP)}) for _ in range(2))
    kept = memory.Memory()
    kept.keep(platform, one, is_ours=True)
    assert kept.recall(platform, one.accounts) is one
    kept.keep(PlatformId(new_id()), two, is_ours=True)
    kept.settle(platform, one)
    assert kept.recall(platform, one.accounts) is None
