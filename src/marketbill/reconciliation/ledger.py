"""The ledger against itself: its proof, the trial balance, custody, statements and the fee report."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, func, select, text

from marketbill.db import ReadScope
from marketbill.errors import LimitExceeded
from marketbill.ids import SellerId, public_id
from marketbill.ledger import accounts, chart, proof
from marketbill.ledger.audit.history import Progress, Read
from marketbill.ledger.balances import watermark
from marketbill.ledger.model import ledger_account
from marketbill.ledger.trial_balance import trial_balance
from marketbill.reconciliation.check import Check, Verdict, broken, compared, holds
from marketbill.statements.fee_report import exchanged, fee_accounts, fee_report
from marketbill.statements.statement import statement

#: Statements that are drawn up line by line; the postings of all sellers are recomputed by the ledger's proof.
STATEMENTS_MAX = 40

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_CUSTODY = text(
    r"""
    select currency, count(distinct owner_id) as sellers,
           sum(case when code like '%\:owed' then 0 else debits - credits end) as held,
           sum(case when code like '%\:owed' then credits - debits else 0 end) as owed
    from ledger_account where platform_id = :platform and kind = 'CUSTODY'
    group by currency order by currency
    """
)
# The sellers with the most turnover first: where the most can be wrong.
_SELLERS = (
    select(ledger_account.c.owner_id.label("seller_id"), ledger_account.c.currency)
    .where(ledger_account.c.platform_id == bindparam("platform"), ledger_account.c.owner_type == "seller")
    .group_by(ledger_account.c.owner_id, ledger_account.c.currency)
    .order_by(func.sum(ledger_account.c.debits + ledger_account.c.credits).desc(), ledger_account.c.owner_id)
    .limit(STATEMENTS_MAX)
)
_POSITIONS = text(
    "select code, currency, credits - debits as balance from ledger_account"
    " where platform_id = :platform and code = :code order by currency"
)
_FEES = text(
    """
    select currency, sum(fee + buyer_fee) as fee from payment
    where platform_id = :platform and booked_at is not null group by currency order by currency
    """
)


async def prove_ledger(read: Read, *, progress: Progress = lambda done, total: None) -> list[Check]:
    """Every rule of the ledger's own proof; a finding names its entry or account."""
    findings = await proof.prove(read, progress=progress)
    if not findings:
        return [holds("ledger replayed from its first entry", "all entries, accounts, holds", "no difference")]
    return [
        broken(
            f"ledger {finding.rule.replace('_', ' ').lower()}",
            finding.subject,
            expected=finding.expected,
            found=finding.found,
        )
        for finding in findings
    ]


async def prove_trial_balance(scope: ReadScope) -> list[Check]:
    """Debits equal credits in each currency."""
    return [
        compared("trial balance", "debits = credits", expected=trial.debit, found=trial.credit, currency=trial.currency)
        for trial in await trial_balance(scope)
    ]


async def prove_positions(scope: ReadScope) -> list[Check]:
    """No exchange of currencies is half done: what the provider turned into another currency was followed by all."""
    return [
        compared("exchange position closed", row.code, expected=0, found=int(row.balance), currency=row.currency)
        for row in await scope.rows(_POSITIONS, {"platform": scope.platform, "code": chart.FX_POSITION.pattern})
    ]


async def prove_custody(scope: ReadScope) -> list[Check]:
    """What sellers hold at the provider mirrors what is owed to them there."""
    return [
        compared(
            "custody nets to zero",
            f"{row.sellers} sellers",
            expected=int(row.owed),
            found=int(row.held),
            currency=row.currency,
        )
        for row in await scope.rows(_CUSTODY, {"platform": scope.platform})
    ]


async def prove_statements(scope: ReadScope) -> list[Check]:
    """Statements over all time end where the sellers' accounts stand."""
    end = scope.now + timedelta(days=1)
    wrong: list[Check] = []
    rows = await scope.rows(_SELLERS, {"platform": scope.platform})
    positions = await accounts.seller_positions(scope, list({SellerId(row.seller_id) for row in rows}))
    for row in rows:
        seller = SellerId(row.seller_id)
        drawn = await statement(scope, seller=seller, currency=row.currency, start=_BEGINNING, end=end, limit=1)
        stands = next((one.total for one in positions[seller] if one.currency == row.currency), 0)
        subject = public_id("seller", seller)
        lines = drawn.opening.total + sum(total.amount for total in drawn.totals)
        for found in (lines, drawn.closing.total):
            check = compared("seller statement", subject, expected=stands, found=found, currency=row.currency)
            if check.verdict is Verdict.BROKEN:
                wrong.append(check)
                break
    if wrong or not rows:
        return wrong
    return [holds("seller statements", f"the {len(rows)} with the most turnover", "equal to the ledger")]


async def prove_fees(scope: ReadScope) -> list[Check]:
    """The fee report makes the movement of the fee revenue account, and the payments' fees make both."""
    end = scope.now + timedelta(days=1)
    checks: list[Check] = []
    for row in await scope.rows(_FEES, {"platform": scope.platform}):
        ref = chart.platform_fee(row.currency)
        held = await fee_accounts(scope, row.currency)
        moved = await exchanged(
            scope, list(held), row.currency, start=_BEGINNING, end=end, as_of=await watermark(scope)
        )
        revenue = sum(held.values()) - moved
        checks.append(
            compared("fees of payments", ref.code, expected=int(row.fee), found=revenue, currency=row.currency)
        )
        try:
            report = await fee_report(scope, start=_BEGINNING, end=end, currency=row.currency)
        except LimitExceeded:
            continue
        checks.append(compared("fee report", ref.code, expected=revenue, found=report.fee, currency=row.currency))
    return checks
