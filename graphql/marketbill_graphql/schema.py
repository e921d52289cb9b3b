"""The schema, assembled from the rooms, and its printed form (the published contract)."""

from collections.abc import Sequence
from functools import cache

import strawberry
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from marketbill_graphql.account_terms import AccountTermsCommands, AccountTermsQueries
from marketbill_graphql.api_keys import ApiKey, ApiKeyCommands, ApiKeyQueries
from marketbill_graphql.bank_files import BankFileCommands, BankFileQueries
from marketbill_graphql.buyers import BuyerCommands, BuyerQueries, PaymentMethod
from marketbill_graphql.checkout import CheckoutCommands, CheckoutQueries
from marketbill_graphql.corrections import CorrectionCommands, CorrectionQueries
from marketbill_graphql.debts import DebtCommands, DebtQueries
from marketbill_graphql.dispute_answers import DisputeAnswerCommands, DisputeAnswerQueries
from marketbill_graphql.dispute_policies import DisputePolicyCommands, DisputePolicyQueries
from marketbill_graphql.disputes import DisputeQueries
from marketbill_graphql.drifts import DriftCommands, DriftQueries
from marketbill_graphql.exchange_rates import ExchangeRateQueries
from marketbill_graphql.explanations import ExplanationQueries
from marketbill_graphql.fee_previews import FeePreviewQueries
from marketbill_graphql.fee_schedules import FeeScheduleCommands, FeeScheduleQueries
from marketbill_graphql.fraud_warnings import FraudWarningQueries
from marketbill_graphql.holds import HoldCommands, HoldQueries
from marketbill_graphql.issued_documents import DocumentCommands, DocumentQueries
from marketbill_graphql.journal import JournalQueries, Posting
from marketbill_graphql.ledger import LedgerQueries
from marketbill_graphql.nodes import NodeQueries
from marketbill_graphql.operator_reports import OperatorReportQueries
from marketbill_graphql.payments import PaymentQueries
from marketbill_graphql.payout_proofs import PayoutProofQueries
from marketbill_graphql.payout_runs import PayoutRunQueries
from marketbill_graphql.payout_schedules import PayoutScheduleCommands, PayoutScheduleQueries
from marketbill_graphql.payouts import PayoutCommands, PayoutQueries
from marketbill_graphql.periods import PeriodCommands, PeriodQueries
from marketbill_graphql.platforms import PlatformCommands, PlatformQueries
from marketbill_graphql.provider_intents import ProviderIntentCommands, ProviderIntentQueries
from marketbill_graphql.refunds import RefundCommands, RefundQueries
from marketbill_graphql.release_rules import ReleaseRulesCommands, ReleaseRulesQueries
from marketbill_graphql.return_policies import ReturnPolicyCommands, ReturnPolicyQueries
from marketbill_graphql.scalars import SCALARS
from marketbill_graphql.seller_holds import SellerHoldCommands, SellerHoldQueries
from marketbill_graphql.sellers import SellerCommands, SellerQueries
from marketbill_graphql.statements import StatementQueries
from marketbill_graphql.tax_rates import TaxRateCommands, TaxRateQueries
from marketbill_graphql.tax_reports import TaxReportQueries
from marketbill_graphql.transfers import TransferQueries
from marketbill_graphql.trial_balance import TrialBalanceQueries
from marketbill_graphql.whereabouts import WhereaboutsQueries

_QUERIES = (
    PlatformQueries,
    ApiKeyQueries,
    FeeScheduleQueries,
    FeePreviewQueries,
    NodeQueries,
    SellerQueries,
    BuyerQueries,
    PaymentQueries,
    CheckoutQueries,
    RefundQueries,
    ReturnPolicyQueries,
    TransferQueries,
    DebtQueries,
    PayoutQueries,
    DisputeQueries,
    DisputeAnswerQueries,
    DisputePolicyQueries,
    FraudWarningQueries,
    PayoutScheduleQueries,
    PayoutRunQueries,
    BankFileQueries,
    ProviderIntentQueries,
    LedgerQueries,
    JournalQueries,
    TrialBalanceQueries,
    PeriodQueries,
    HoldQueries,
    AccountTermsQueries,
    CorrectionQueries,
    StatementQueries,
    DocumentQueries,
    OperatorReportQueries,
    ExplanationQueries,
    ExchangeRateQueries,
    TaxRateQueries,
    TaxReportQueries,
    DriftQueries,
    PayoutProofQueries,
    ReleaseRulesQueries,
    SellerHoldQueries,
    WhereaboutsQueries,
)
_COMMANDS = (
    PlatformCommands,
    ApiKeyCommands,
    FeeScheduleCommands,
    TaxRateCommands,
    SellerCommands,
    BuyerCommands,
    CheckoutCommands,
    DebtCommands,
    RefundCommands,
    ReturnPolicyCommands,
    PayoutCommands,
    DisputeAnswerCommands,
    DisputePolicyCommands,
    DocumentCommands,
    PayoutScheduleCommands,
    BankFileCommands,
    ProviderIntentCommands,
    PeriodCommands,
    HoldCommands,
    AccountTermsCommands,
    CorrectionCommands,
    DriftCommands,
    ReleaseRulesCommands,
    SellerHoldCommands,
)


@cache
def build_schema() -> strawberry.Schema:
    """The product's schema; built once in a process, it holds no state."""
    return assemble(queries=_QUERIES, mutations=_COMMANDS, types=(ApiKey, PaymentMethod, Posting))


def sdl() -> str:
    """The schema as it is published in `graphql/schema.graphql`."""
    return print_schema(build_schema()) + "\n"


def assemble(*, queries: Sequence[type], mutations: Sequence[type], types: Sequence[type] = ()) -> strawberry.Schema:
    """A schema of the given rooms' queries and mutations; `types` are those reached only through an interface."""
    return strawberry.Schema(
        query=merge_types("Query", tuple(queries)),
        mutation=merge_types("Mutation", tuple(mutations)) if mutations else None,
        types=types,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
