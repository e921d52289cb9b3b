"""The page on refunds says what the code does."""

from pathlib import Path

from marketbill.refunds.model import RefundKind, RefundStatus
from marketbill.rules.return_policy import DEFAULT

PAGE = (Path(__file__).parents[2] / "docs" / "refunds.md").read_text()


def test_the_default_policy_is_the_one_on_the_page() -> None:
    for cause, row in DEFAULT.rows.items():
        told = (cause, row.price, row.percent_fee, row.fixed_fee, row.provider_fee, row.dispute_fee)
        assert f"| {' | '.join(told)} |" in PAGE


def test_every_kind_and_every_state_is_on_the_page() -> None:
    for one in (*RefundKind, *RefundStatus):
        assert f"| `{one}` |" in PAGE
