"""Every endpoint: its path, its parameters, who answers it and what kind of object comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from marketbill.sandbox import (
    accounts,
    accounts_v2,
    application_fees,
    balance_settings,
    balances,
    banks,
    capabilities,
    charges,
    customers,
    disputes,
    endpoints,
    events,
    exchange_rates,
    fraud_warnings,
    onboarding,
    payment_intents,
    payment_methods,
    payouts,
    refunds,
    reversals,
    setup_intents,
    tax_calculations,
    tax_registrations,
    tax_settings,
    tax_transactions,
    topups,
    transfers,
    verification,
)
from marketbill.sandbox import parameter_tables as tables
from marketbill.sandbox.call import Call
from marketbill.sandbox.parameters import Reader, compile_table
from marketbill.sandbox.wire import Doc

Handler = Callable[[Call], Doc]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path."""

    read: Reader
    handler: Handler
    #: Kind of the object that comes back, for ``expand``; None where nothing can be expanded.
    kind: str | None
    listed: bool
    #: What the steps in braces are called, in order.
    names: tuple[str, ...]


@dataclass(slots=True)
class _Node:
    """A step of a path: literal steps win over a name in braces."""

    literal: dict[str, _Node]
    named: _Node | None
    endpoints: dict[str, Endpoint]

    def below(self, step: str) -> _Node:
        """Return the node of a further step, made when it is new."""
        if not step.startswith("{"):
            return self.literal.setdefault(step, _Node({}, None, {}))
        if self.named is None:
            self.named = _Node({}, None, {})
        return self.named


def _table() -> list[tuple[str, str, str, Handler, str | None]]:
    """Return (method, path, parameters, handler, kind). A list endpoint is a GET whose kind ends in ``[]``."""
    pi, pm, acct = "/v1/payment_intents", "/v1/payment_methods", "/v1/accounts"
    fee, si = "/v1/application_fees", "/v1/setup_intents"
    bank = acct + "/{account}/external_accounts"
    return [
        ("GET", "/v1/account", "", accounts.retrieve_own, "account"),
        ("GET", "/v1/balance_settings", "", balance_settings.retrieve, None),
        ("POST", "/v1/balance_settings", balance_settings.UPDATE, balance_settings.update, None),
        ("POST", acct, tables.ACCOUNT_CREATE, verification.create, "account"),
        ("GET", acct, tables.LIST, accounts.listing, "account[]"),
        ("GET", acct + "/{account}", "", accounts.retrieve, "account"),
        ("POST", acct + "/{account}", tables.ACCOUNT_UPDATE, verification.update, "account"),
        ("DELETE", acct + "/{account}", "", accounts.delete, None),
        ("POST", acct + "/{account}/reject", verification.REJECT, verification.reject, "account"),
        ("POST", acct + "/{id}/unreject", "", verification.unreject, "account"),
        ("POST", acct + "/{account}/login_links", "", verification.create_login_link, None),
        ("GET", acct + "/{account}/capabilities", "", capabilities.listing, "capability[]"),
        ("GET", acct + "/{account}/capabilities/{capability}", "", capabilities.retrieve, "capability"),
        ("POST", acct + "/{account}/capabilities/{capability}", "requested:b", capabilities.update,
         "capability"),
        ("POST", bank, tables.BANK_CREATE, banks.create, "bank_account"),
        ("GET", bank, "$page object:(bank_account|card)", banks.listing, "bank_account[]"),
        ("GET", bank + "/{id}", "", banks.retrieve, "bank_account"),
        ("POST", bank + "/{id}", tables.BANK_UPDATE, banks.update, "bank_account"),
        ("DELETE", bank + "/{id}", "", banks.delete, None),
        ("POST", "/v1/account_links", tables.ACCOUNT_LINK, onboarding.create_link, None),
        ("GET", fee, f"{tables.LIST} charge", application_fees.listing, "application_fee[]"),
        ("GET", fee + "/{id}", "", application_fees.retrieve, "application_fee"),
        ("POST", fee + "/{id}/refunds", "amount:i metadata:m", application_fees.refund, "fee_refund"),
        ("GET", fee + "/{id}/refunds", "$page", application_fees.list_refunds, "fee_refund[]"),
        ("GET", fee + "/{fee}/refunds/{id}", "", application_fees.retrieve_refund, "fee_refund"),
        ("POST", fee + "/{fee}/refunds/{id}", "metadata:m", application_fees.update_refund, "fee_refund"),
        ("GET", "/v1/balance", "", balances.retrieve, "balance"),
        ("GET", "/v1/balance_transactions", tables.BALANCE_TRANSACTION_LIST, balances.list_transactions,
         "balance_transaction[]"),
        ("GET", "/v1/balance_transactions/{id}", "", balances.retrieve_transaction, "balance_transaction"),
        ("GET", "/v1/charges", tables.CHARGE_LIST, charges.listing, "charge[]"),
        ("GET", "/v1/charges/{id}", "", charges.retrieve, "charge"),
        ("POST", "/v1/charges/{id}", tables.CHARGE_UPDATE, charges.update, "charge"),
        ("POST", "/v1/customers", tables.CUSTOMER_CREATE, customers.create, "customer"),
        ("GET", "/v1/customers", tables.LIST + " email", customers.listing, "customer[]"),
        ("GET", "/v1/customers/{id}", "", customers.retrieve, "customer"),
        ("POST", "/v1/customers/{id}", tables.CUSTOMER_UPDATE, customers.update, "customer"),
        ("DELETE", "/v1/customers/{id}", "", customers.delete, None),
        ("GET", "/v1/customers/{customer}/payment_methods", tables.METHOD_LIST_OF_CUSTOMER,
         payment_methods.of_customer, "payment_method[]"),
        ("GET", "/v1/customers/{customer}/payment_methods/{id}", "", payment_methods.retrieve_of_customer,
         "payment_method"),
        ("GET", "/v1/events", tables.EVENT_LIST, events.listing, None),
        ("GET", "/v1/events/{id}", "", events.retrieve, None),
        ("POST", pi, tables.INTENT_CREATE, payment_intents.create, "payment_intent"),
        ("GET", pi, tables.LIST + " customer", payment_intents.listing, "payment_intent[]"),
        ("GET", pi + "/{intent}", "client_secret", payment_intents.retrieve, "payment_intent"),
        ("POST", pi + "/{intent}", tables.INTENT_UPDATE, payment_intents.update, "payment_intent"),
        ("POST", pi + "/{intent}/confirm", tables.INTENT_CONFIRM, payment_intents.confirm, "payment_intent"),
        ("POST", pi + "/{intent}/capture", tables.INTENT_CAPTURE, payment_intents.capture, "payment_intent"),
        ("POST", pi + "/{intent}/cancel", tables.INTENT_CANCEL, payment_intents.cancel, "payment_intent"),
        ("POST", pm, tables.METHOD_CREATE, payment_methods.create, "payment_method"),
        ("GET", pm, tables.METHOD_LIST, payment_methods.listing, "payment_method[]"),
        ("GET", pm + "/{id}", "", payment_methods.retrieve, "payment_method"),
        ("POST", pm + "/{id}", tables.METHOD_UPDATE, payment_methods.update, "payment_method"),
        ("POST", pm + "/{id}/attach", "customer customer_account:later", payment_methods.attach, "payment_method"),
        ("POST", pm + "/{id}/detach", "", payment_methods.detach, "payment_method"),
        ("GET", "/v1/disputes", tables.DISPUTE_LIST, disputes.listing, "dispute[]"),
        ("GET", "/v1/disputes/{dispute}", "", disputes.retrieve, "dispute"),
        ("POST", "/v1/disputes/{dispute}", tables.DISPUTE_UPDATE, disputes.update, "dispute"),
        ("POST", "/v1/disputes/{dispute}/close", "", disputes.close, "dispute"),
        ("GET", "/v1/radar/early_fraud_warnings", tables.DISPUTE_LIST, fraud_warnings.listing,
         "early_fraud_warning[]"),
        ("GET", "/v1/radar/early_fraud_warnings/{id}", "", fraud_warnings.retrieve, "early_fraud_warning"),
        ("GET", "/v1/exchange_rates", "$page", exchange_rates.listing, None),
        ("GET", "/v1/exchange_rates/{id}", "", exchange_rates.retrieve, None),
        ("POST", "/v1/payouts", tables.PAYOUT_CREATE, payouts.create, "payout"),
        ("GET", "/v1/payouts", tables.PAYOUT_LIST, payouts.listing, "payout[]"),
        ("GET", "/v1/payouts/{id}", "", payouts.retrieve, "payout"),
        ("POST", "/v1/payouts/{id}", "metadata:m", payouts.update, "payout"),
        ("POST", "/v1/payouts/{id}/cancel", "", payouts.cancel, "payout"),
        ("POST", "/v1/payouts/{id}/reverse", "metadata:m", payouts.reverse, "payout"),
        ("POST", "/v1/refunds", tables.REFUND_CREATE, refunds.create, "refund"),
        ("GET", "/v1/refunds", tables.REFUND_LIST, refunds.listing, "refund[]"),
        ("GET", "/v1/refunds/{id}", "", refunds.retrieve, "refund"),
        ("POST", "/v1/refunds/{id}", "metadata:m", refunds.update, "refund"),
        ("POST", "/v1/refunds/{id}/cancel", "", refunds.cancel, "refund"),
        ("POST", si, setup_intents.CREATE, setup_intents.create, "setup_intent"),
        ("GET", si, setup_intents.LIST, setup_intents.listing, "setup_intent[]"),
        ("GET", si + "/{intent}", "client_secret", setup_intents.retrieve, "setup_intent"),
        ("POST", si + "/{intent}", setup_intents.UPDATE, setup_intents.update, "setup_intent"),
        ("POST", si + "/{intent}/confirm", setup_intents.CONFIRM, setup_intents.confirm, "setup_intent"),
        ("POST", si + "/{intent}/cancel", setup_intents.CANCEL, setup_intents.cancel, "setup_intent"),
        ("POST", "/v1/tax/calculations", tax_calculations.CREATE, tax_calculations.create, "tax.calculation"),
        ("GET", "/v1/tax/calculations/{id}", "", tax_calculations.retrieve, "tax.calculation"),
        ("GET", "/v1/tax/calculations/{calculation}/line_items", "$page", tax_calculations.list_lines,
         "tax.calculation_line_item[]"),
        ("POST", "/v1/tax/transactions/create_from_calculation", tax_transactions.FROM_CALCULATION,
         tax_transactions.create_from_calculation, "tax.transaction"),
        ("POST", "/v1/tax/transactions/create_reversal", tax_transactions.REVERSAL, tax_transactions.create_reversal,
         "tax.transaction"),
        ("GET", "/v1/tax/transactions/{transaction}", "", tax_transactions.retrieve, "tax.transaction"),
        ("GET", "/v1/tax/transactions/{transaction}/line_items", "$page", tax_transactions.list_lines,
         "tax.transaction_line_item[]"),
        ("POST", "/v1/tax/registrations", tax_registrations.CREATE, tax_registrations.create, None),
        ("GET", "/v1/tax/registrations", tax_registrations.LIST, tax_registrations.listing, None),
        ("GET", "/v1/tax/registrations/{id}", "", tax_registrations.retrieve, None),
        ("POST", "/v1/tax/registrations/{id}", tax_registrations.UPDATE, tax_registrations.update, None),
        ("GET", "/v1/tax/settings", "", tax_settings.retrieve, None),
        ("POST", "/v1/tax/settings", tax_settings.UPDATE, tax_settings.update, None),
        ("POST", "/v1/topups", tables.TOPUP_CREATE, topups.create, "topup"),
        ("GET", "/v1/topups", tables.TOPUP_LIST, topups.listing, "topup[]"),
        ("GET", "/v1/topups/{id}", "", topups.retrieve, "topup"),
        ("POST", "/v1/topups/{id}", "description metadata:m", topups.update, "topup"),
        ("POST", "/v1/topups/{id}/cancel", "", topups.cancel, "topup"),
        ("POST", "/v1/transfers", tables.TRANSFER_CREATE, transfers.create, "transfer"),
        ("GET", "/v1/transfers", tables.TRANSFER_LIST, transfers.listing, "transfer[]"),
        ("GET", "/v1/transfers/{id}", "", transfers.retrieve, "transfer"),
        ("POST", "/v1/transfers/{id}", "description metadata:m", transfers.update, "transfer"),
        ("POST", "/v1/transfers/{id}/reversals", tables.REVERSAL_CREATE, reversals.create, "transfer_reversal"),
        ("GET", "/v1/transfers/{id}/reversals", "$page", reversals.listing, "transfer_reversal[]"),
        ("GET", "/v1/transfers/{transfer}/reversals/{id}", "", reversals.retrieve, "transfer_reversal"),
        ("POST", "/v1/transfers/{transfer}/reversals/{id}", "metadata:m", reversals.update, "transfer_reversal"),
        ("POST", "/v1/webhook_endpoints", tables.ENDPOINT_CREATE, endpoints.create, None),
        ("GET", "/v1/webhook_endpoints", "$page", endpoints.listing, None),
        ("GET", "/v1/webhook_endpoints/{id}", "", endpoints.retrieve, None),
        ("POST", "/v1/webhook_endpoints/{id}", tables.ENDPOINT_UPDATE, endpoints.update, None),
        ("DELETE", "/v1/webhook_endpoints/{id}", "", endpoints.delete, None),
        ("POST", "/v2/core/accounts", tables.V2_ACCOUNT_CREATE, accounts_v2.create, None),
        ("GET", "/v2/core/accounts", tables.V2_ACCOUNT_LIST, accounts_v2.listing, None),
        ("GET", "/v2/core/accounts/{account}", "include:[s]", accounts_v2.retrieve, None),
        ("POST", "/v2/core/accounts/{account}", tables.V2_ACCOUNT_UPDATE, accounts_v2.update, None),
        ("POST", "/v2/core/accounts/{account}/close", "applied_configurations:[(customer|merchant|recipient)]",
         accounts_v2.close, None),
        ("POST", "/v2/core/account_links", tables.V2_ACCOUNT_LINK, accounts_v2.create_link, None),
    ]  # fmt: skip


class Routes:
    """The endpoints as a tree of path steps."""

    def __init__(self) -> None:
        self._root = _Node({}, None, {})
        #: Method and path of every endpoint, with names in braces.
        self.all: list[tuple[str, str]] = []
        for method, path, text, handler, kind in _table():
            # Every endpoint of the first version takes ``expand``; the second has ``include`` where it means something.
            text = text if path.startswith("/v2/") else text + " expand:[s]"
            self.all.append((method, path))
            steps = path.strip("/").split("/")
            node = self._root
            for step in steps:
                node = node.below(step)
            node.endpoints[method] = Endpoint(
                read=compile_table(text),
                handler=handler,
                kind=kind.removesuffix("[]") if kind is not None else None,
                listed=kind is not None and kind.endswith("[]"),
                names=tuple(step[1:-1] for step in steps if step.startswith("{")),
            )

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """Return the endpoint of a request and the values of the names in its path."""
        node = self._root
        values: list[str] = []
        for step in path[1:].split("/"):
            below = node.literal.get(step)
            if below is None:
                below = node.named
                if below is None or not step:
                    return None
                values.append(step)
            node = below
        endpoint = node.endpoints.get(method)
        return None if endpoint is None else (endpoint, dict(zip(endpoint.names, values, strict=True)))
