"""The sale of the worked journal (`marketbill.ledger.worked_journal`), and the balances it must end at."""

from dataclasses import dataclass
from datetime import UTC, datetime

from marketbill.ids import SellerId, new_id
from marketbill.ledger import chart, worked_journal
from marketbill.ledger.journal import JournalEntry

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EUR = "EUR"


@dataclass(frozen=True, slots=True)
class Basket:
    a: SellerId
    b: SellerId
    c: SellerId
    entries: tuple[JournalEntry, ...]

    def balances(self) -> dict[tuple[str, str], int]:
        """What every account holds after J8, on its own side."""
        held = {
            chart.bank(EUR): -20000,
            chart.psp_available(EUR): 21208,
            chart.psp_pending(EUR): 0,
            chart.psp_fee(EUR): 207,
            chart.platform_fee(EUR): 1240,
            chart.output_vat("NL", EUR): 175,
            chart.custody_available(self.a, EUR): 4379,
            chart.custody_owed(self.a, EUR): 4379,
        }
        for seller in (self.a, self.b, self.c):
            held[chart.seller_pending(seller, EUR)] = 0
            held[chart.seller_payable(seller, EUR)] = 0
        for seller in (self.b, self.c):
            held[chart.custody_available(seller, EUR)] = 0
            held[chart.custody_in_transit(seller, EUR)] = 0
            held[chart.custody_owed(seller, EUR)] = 0
        return {(ref.code, ref.currency): balance for ref, balance in held.items()}


def basket() -> Basket:
    """The worked journal's sale, J0 to J8, with ids of its own."""
    ids = {name: new_id() for name in worked_journal.OBJECTS}
    a, b, c = (SellerId(ids[name]) for name in "ABC")
    return Basket(a, b, c, tuple(step.entry(ids, START) for step in worked_journal.SALE))
