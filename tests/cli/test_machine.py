"""What `marketbill up` refuses before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_a_market_of_the_sandbox_is_not_brought_up_with_stripe(
    tmp_path: Path, command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo-market.json").write_text("{}")
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_abc")
    ran = command("up", "--data", str(tmp_path))
    assert ran.code == 1
    assert "STRIPE_SECRET_KEY is set, so api.stripe.com is asked" in ran.line
    assert [one.name for one in tmp_path.iterdir()] == ["demo-market.json"]
