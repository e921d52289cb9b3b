"""The parameters of every endpoint, in the notation of :mod:`marketbill.sandbox.parameters`.

A parameter that Stripe has and this provider does not simulate is marked ``later``: it is refused by name.
"""

LIST = "$page created:range"

_REQUESTED = "{requested:b}"
CAPABILITY_NAMES = (
    "transfers", "card_payments", "legacy_payments", "sepa_debit_payments", "ideal_payments", "bancontact_payments",
    "eps_payments", "p24_payments", "klarna_payments", "link_payments", "us_bank_account_ach_payments",
    "bank_transfer_payments", "sepa_bank_transfer_payments", "cartes_bancaires_payments", "tax_reporting_us_1099_k",
    "tax_reporting_us_1099_misc",
)  # fmt: skip
_CAPABILITIES = "{" + " ".join(f"{name}:{_REQUESTED}" for name in CAPABILITY_NAMES) + "}"

_DATE = "{day!:i month!:i year!:i}"
_DECLARATION = "{date:i ip user_agent}"
_DOCUMENT = "{back front}"

_INDIVIDUAL = f"""{{
    address:$address address_kana:$script_address address_kanji:$script_address dob:{_DATE} email first_name
    first_name_kana first_name_kanji full_name_aliases:[s] gender id_number id_number_secondary last_name last_name_kana
    last_name_kanji maiden_name metadata:m phone political_exposure:(existing|none) registered_address:$address
    relationship:{{director:b executive:b owner:b percent_ownership:n title}} ssn_last_4
    verification:{{additional_document:{_DOCUMENT} document:{_DOCUMENT}}}
}}"""

_COMPANY = f"""{{
    address:$address address_kana:$script_address address_kanji:$script_address directors_provided:b
    directorship_declaration:{_DECLARATION} executives_provided:b export_license_id export_purpose_code name name_kana
    name_kanji owners_provided:b ownership_declaration:{_DECLARATION} ownership_exemption_reason phone
    registration_date:{_DATE} registration_number structure tax_id tax_id_registrar vat_id
    verification:{{document:{_DOCUMENT}}}
}}"""

_PROFILE = """{
    annual_revenue:{amount!:i currency! fiscal_year_end!} estimated_worker_count:i mcc
    monthly_estimated_revenue:{amount!:i currency!} name product_description support_address:$address support_email
    support_phone support_url url
}"""

_SETTINGS = """{
    branding:{icon logo primary_color secondary_color}
    card_payments:{
        decline_on:{avs_failure:b cvc_failure:b} statement_descriptor_prefix statement_descriptor_prefix_kana
        statement_descriptor_prefix_kanji
    }
    payments:{statement_descriptor statement_descriptor_kana statement_descriptor_kanji}
    payouts:{
        debit_negative_balances:b statement_descriptor
        schedule:{
            delay_days:any interval:(daily|manual|monthly|weekly) monthly_anchor:i monthly_payout_days:[i]
            weekly_anchor:(friday|monday|saturday|sunday|thursday|tuesday|wednesday)
            weekly_payout_days:[(friday|monday|thursday|tuesday|wednesday)]
        }
    }
}"""

ACCOUNT_UPDATE = f"""
    account_token:later business_profile:{_PROFILE}
    business_type:(company|government_entity|individual|non_profit) capabilities:{_CAPABILITIES} company:{_COMPANY}
    default_currency documents:later email external_account:any groups:later individual:{_INDIVIDUAL} metadata:m
    settings:{_SETTINGS} tos_acceptance:{{date:i ip service_agreement:(full|recipient) user_agent}}
"""

ACCOUNT_CREATE = f"""
    {ACCOUNT_UPDATE} country type:(custom|express|standard)
    controller:{{
        fees:{{payer:(account|application)}} losses:{{payments:(application|stripe)}}
        requirement_collection:(application|stripe) stripe_dashboard:{{type:(express|full|none)}}
    }}
"""

BANK_CREATE = "external_account!:any default_for_currency:b metadata:m"
BANK_UPDATE = (
    "account_holder_name account_holder_type:(company|individual|) account_type:(checking|futsu|savings|toza|) "
    "address_city address_country address_line1 address_line2 address_state address_zip default_for_currency:b "
    "documents:later exp_month:i exp_year:i metadata:m name"
)

_COLLECTION = "{fields:(currently_due|eventually_due) future_requirements:(include|omit)}"

ACCOUNT_LINK = f"""
    account! type!:(account_onboarding|account_update) collect:(currently_due|eventually_due)
    collection_options:{_COLLECTION} refresh_url return_url
"""

BALANCE_TRANSACTION_LIST = f"{LIST} currency payout source type"

CHARGE_LIST = f"{LIST} customer payment_intent transfer_group"
CHARGE_UPDATE = """
    customer:later description fraud_details:{user_report!:(fraudulent|safe|)} metadata:m receipt_email
    shipping:$shipping transfer_group
"""

CUSTOMER_UPDATE = """
    address:$address balance:i business_name:later cash_balance:later default_source:later description email
    individual_name:later invoice_prefix:later
    invoice_settings:{custom_fields:later default_payment_method footer rendering_options:later} metadata:m name
    next_invoice_sequence:later phone preferred_locales:[s] shipping:$shipping source:later tax:later
    tax_exempt:(exempt|none|reverse|) validate:b
"""
CUSTOMER_CREATE = CUSTOMER_UPDATE + " payment_method tax_id_data:later test_clock:later"

DISPUTE_LIST = f"{LIST} charge payment_intent"
# Evidence that is a file's id is refused by name: this provider keeps no files.
DISPUTE_UPDATE = """
    evidence:{
        access_activity_log appeal:later billing_address cancellation_policy:later cancellation_policy_disclosure
        cancellation_rebuttal customer_communication:later customer_email_address customer_name customer_purchase_ip
        customer_signature:later duplicate_charge_documentation:later duplicate_charge_explanation duplicate_charge_id
        enhanced_evidence:later product_description receipt:later refund_policy:later refund_policy_disclosure
        refund_refusal_explanation service_date service_documentation:later shipping_address shipping_carrier
        shipping_date shipping_documentation:later shipping_tracking_number uncategorized_file:later uncategorized_text
    }
    intended_submission_method:(manual|prefer_manual|prefer_smart_disputes|smart_disputes) metadata:m submit:b
"""

EVENT_LIST = f"{LIST} delivery_success:b type types:[s]"

_CARD_OPTIONS = """{
    capture_method:later cvc_token:later installments:later mandate_options:later moto:later
    network:(amex|cartes_bancaires|diners|discover|eftpos_au|girocard|interac|jcb|link|mastercard|unionpay|unknown|visa)
    request_extended_authorization:later request_incremental_authorization:later request_multicapture:later
    request_overcapture:later request_three_d_secure:(any|automatic|challenge) require_cvc_recollection:later
    setup_future_usage:later statement_descriptor_suffix_kana:later statement_descriptor_suffix_kanji:later
    three_d_secure:later
}"""

_MANDATE = """{
    customer_acceptance!:{
        accepted_at:i offline:any online:{ip_address! user_agent!} type!:(offline|online)
    }
}"""

_INTENT_CHANGE = f"""
    allowed_payment_method_types:[s] amount_details:later capture_method:(automatic|automatic_async|manual)
    excluded_payment_method_types:[s] hooks:later payment_details:later payment_method payment_method_data:later
    payment_method_options:{{card:{_CARD_OPTIONS}}} receipt_email setup_future_usage:(off_session|on_session|)
    shipping:$shipping
"""

_TRANSFER_DATA = "{amount:i description metadata:m payment_data:{description metadata:m}}"

_INTENT_MONEY = f"""
    application_fee_amount:i? currency customer customer_account:later description metadata:m
    payment_method_configuration:later statement_descriptor statement_descriptor_suffix transfer_data:{_TRANSFER_DATA}
    transfer_group
"""

_INTENT_ATTEMPT = f"""
    confirmation_token:later error_on_requires_action:b mandate:later mandate_data:{_MANDATE} off_session:off_session
    radar_options:later return_url use_stripe_sdk:b
"""

INTENT_UPDATE = f"{_INTENT_CHANGE} {_INTENT_MONEY} amount:i"

INTENT_CONFIRM = f"{_INTENT_CHANGE} {_INTENT_ATTEMPT} amount_to_confirm:later"

#: What an update may change or unset, a creation gives.
_INTENT_MONEY_NEW = (
    _INTENT_MONEY.replace(" currency ", " currency! ")
    .replace("_amount:i?", "_amount:i")
    .replace("transfer_data:{amount", "transfer_data:{destination! amount")
)

INTENT_CREATE = f"""
    amount!:i {_INTENT_CHANGE} {_INTENT_MONEY_NEW} {_INTENT_ATTEMPT}
    automatic_payment_methods:{{allow_redirects:(always|never) enabled!:b}} confirm:b
    confirmation_method:(automatic|manual) on_behalf_of
"""

INTENT_CAPTURE = """
    amount_details:later amount_to_capture:i application_fee_amount:i final_capture:b hooks:later metadata:m
    payment_details:later statement_descriptor:later statement_descriptor_suffix:later transfer_data:{amount:i}
"""

INTENT_CANCEL = "cancellation_reason:(abandoned|duplicate|fraudulent|requested_by_customer)"

METHOD_CREATE = """
    allow_redisplay:(always|limited|unspecified) billing_details:$billing
    card:{cvc exp_month exp_year networks number token} customer:later metadata:m payment_method:later
    radar_options:later type
"""
METHOD_UPDATE = """
    allow_redisplay:(always|limited|unspecified) billing_details:$billing card:{exp_month:i exp_year:i networks:later}
    metadata:m us_bank_account:later
"""
METHOD_LIST = "$page allow_redisplay:(always|limited|unspecified) customer customer_account:later type"
METHOD_LIST_OF_CUSTOMER = "$page allow_redisplay:(always|limited|unspecified) type"

PAYOUT_CREATE = """
    amount!:i currency! description destination metadata:m method:(instant|standard) payout_method:later
    source_type:(bank_account|card|fpx) statement_descriptor
"""
PAYOUT_LIST = f"{LIST} arrival_date:range destination status"

TOPUP_CREATE = """
    amount!:i currency! description metadata:m payment_method:later payment_method_options:later source
    statement_descriptor transfer_group
"""
TOPUP_LIST = f"{LIST} amount:range status:(canceled|failed|pending|succeeded)"

REFUND_CREATE = """
    amount:i charge currency:later customer:later instructions_email:later metadata:m origin:later payment_intent
    reason:(duplicate|fraudulent|requested_by_customer) refund_application_fee:b reverse_transfer:b
"""
REFUND_LIST = f"{LIST} charge payment_intent"

REVERSAL_CREATE = "amount:i description metadata:m refund_application_fee:b"

TRANSFER_CREATE = """
    amount:i currency! description destination! metadata:m source_transaction source_type:(bank_account|card|fpx)
    transfer_group
"""
TRANSFER_LIST = f"{LIST} destination transfer_group"

ENDPOINT_CREATE = "url! enabled_events!:[s] api_version connect:b description metadata:m"
ENDPOINT_UPDATE = "url enabled_events:[s] description disabled:b metadata:m"

_V2_ADDRESS = "{city country line1 line2 postal_code state town}"
_V2_IDENTITY = f"""{{
    attestations:any business_details:any country entity_type:(company|government_entity|individual|non_profit)
    individual:{{
        additional_addresses:any additional_names:any additional_terms_of_service:any address:{_V2_ADDRESS}
        date_of_birth:{_DATE} documents:any email given_name id_numbers:any legal_gender:(female|male) metadata:m
        nationalities:[s] phone political_exposure:(existing|none) relationship:any script_addresses:any
        script_names:any surname
    }}
}}"""

_V2_REQUESTED = "{requested!:b}"
_V2_CONFIGURATION = f"""{{
    customer:object
    merchant:{{applied:b branding:any capabilities:{{card_payments:{_V2_REQUESTED}}} card_payments:any mcc
        statement_descriptor:any support:any}}
    recipient:{{applied:b capabilities:{{
        bank_accounts:later cards:later stripe_balance:{{stripe_transfers:{_V2_REQUESTED}}}
    }}}}
}}"""

V2_ACCOUNT_UPDATE = f"""
    account_token:later configuration:{_V2_CONFIGURATION} contact_email contact_phone dashboard:(express|full|none)
    defaults:{{
        currency locales:[s] payout_methods:later profile:{{business_url doing_business_as product_description}}
        responsibilities:{{
            fees_collector!:(application|application_custom|application_express|stripe)
            losses_collector!:(application|stripe)
        }}
    }}
    display_name identity:{_V2_IDENTITY} include:[s] metadata:m
"""
V2_ACCOUNT_CREATE = V2_ACCOUNT_UPDATE
V2_ACCOUNT_LIST = "limit:i page applied_configurations:later closed:later"

_V2_USE_CASE = f"{{collection_options:{_COLLECTION} refresh_url! return_url}}"
V2_ACCOUNT_LINK = f"""
    account!
    use_case!:{{
        account_onboarding:{_V2_USE_CASE} account_update:{_V2_USE_CASE}
        type!:(account_onboarding|account_update)
    }}
"""
