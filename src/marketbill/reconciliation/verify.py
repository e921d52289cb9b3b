"""The proof of a platform's books: against themselves, against the business, against the provider."""

from functools import partial

from marketbill.ids import PlatformId
from marketbill.ledger.audit.history import Progress
from marketbill.reconciliation.business import prove_payments, prove_payouts, prove_transfers
from marketbill.reconciliation.check import Check, Report, Verdict
from marketbill.reconciliation.explained import prove_explained
from marketbill.reconciliation.held import prove_held
from marketbill.reconciliation.ledger import (
    prove_custody,
    prove_fees,
    prove_ledger,
    prove_positions,
    prove_statements,
    prove_trial_balance,
)
from marketbill.reconciliation.provider import BalanceReader, prove_provider
from marketbill.reconciliation.recovery import prove_recovery
from marketbill.reconciliation.returns import prove_lines, prove_refunds
from marketbill.reconciliation.tax import prove_taxes
from marketbill.reconciliation.waiting import find_waiting
from marketbill.services import Services

#: The parts that read the database alone, after the ledger itself, by what they look at.
_PARTS = (
    ("trial balance", prove_trial_balance),
    ("positions", prove_positions),
    ("custody", prove_custody),
    ("payments", prove_payments),
    ("transfers", prove_transfers),
    ("payouts", prove_payouts),
    ("lines of payouts", prove_lines),
    ("refunds", prove_refunds),
    ("debts and reversals", prove_recovery),
    ("what is held", prove_held),
    ("fees", prove_fees),
    ("taxes", prove_taxes),
    ("statements", prove_statements),
    ("what waits", find_waiting),
)
#: How many parts there are, for a progress bar.
PARTS = len(_PARTS) + 2
#: And with every payment explained.
PARTS_EXPLAINED = PARTS + 1


async def verify(
    services: Services,
    platform: PlatformId,
    *,
    reader: BalanceReader | None = None,
    report: Report = lambda _: None,
    progress: Progress = lambda done, total: None,
    explained: Progress | None = None,
) -> list[Check]:
    """Every check of a platform. `reader` tells many provider balances at once, where the provider can.

    `report` is told each part before it begins, `progress` how many entries of the ledger were replayed. With
    `explained`, which is told how many payments are done, every payment's trace is computed again too.

    Raises Unavailable when the database is away, Unknown or Refused when the provider does not tell its balances.
    """
    report("ledger")
    checks = await prove_ledger(partial(services.db.read, platform), progress=progress)
    for name, prove in _PARTS:
        report(name)
        async with services.db.read(platform) as scope:
            checks += await prove(scope)
    if explained is not None:
        report("explanations")
        checks += await prove_explained(partial(services.db.read, platform), progress=explained)
    report("provider")
    return checks + await prove_provider(services, platform, reader=reader)


def is_proven(checks: list[Check]) -> bool:
    """No check is broken; warnings do not count."""
    return all(check.verdict is not Verdict.BROKEN for check in checks)
