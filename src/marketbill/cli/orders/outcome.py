"""What became of the orders of a file."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from marketbill.cli.orders.file import FileOrder


@dataclass(slots=True)
class Outcome:
    """Counts of orders, and of their money. `refused` holds the reason by order.

    `sold` is what payments that succeeded hold, in minor units by currency. `waiting` and `stuck` count orders by where
    they are; `workers_idle` tells that something stands still which workers should have moved.
    """

    created: int = 0
    existed: int = 0
    sellers_created: int = 0
    left_to_workers: int = 0
    transferred: int = 0
    sold: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    waiting_until: dict[str, datetime] = field(default_factory=dict)
    stuck: Counter[str] = field(default_factory=Counter)
    workers_idle: bool = False
    refused: list[tuple[FileOrder, str]] = field(default_factory=list)
