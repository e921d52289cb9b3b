"""Issued statements, fee invoices, gap-free numbers."""

from alembic import op

revision = "0022"
down_revision = "0021"

# A number is taken in the transaction that writes what it names: when that is undone, so is the number. Documents, and
# the files that were made of them, are never changed.
CHANGES = """
create table legal_entity (
  platform_id uuid not null references platform,
  code text not null check (code ~ '^[A-Z0-9]{1,12}$'),
  name text not null check (length(name) between 1 and 200),
  country varchar(2) not null,
  vat_number text,
  address text[] not null check (cardinality(address) <= 6),
  seller_countries text[] not null,
  updated_at timestamptz not null,
  updated_by text not null,
  primary key (platform_id, code)
);
select marketbill_protect('legal_entity', 'select, insert, update');

create table number_series (
  platform_id uuid not null references platform,
  legal_entity text not null,
  series text not null,
  last bigint not null check (last >= 1),
  primary key (platform_id, legal_entity, series)
);
select marketbill_protect('number_series', 'select, insert');
grant update (last) on number_series to marketbill_app;

create table issued_statement (
  platform_id uuid not null references platform,
  id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  period_start timestamptz not null,
  period_end timestamptz not null,
  legal_entity text not null,
  series text not null,
  number text not null,
  known bigint not null check (known >= 0),
  opening bigint not null,
  closing bigint not null,
  previous_closing bigint,
  issuer jsonb not null,
  seller jsonb not null,
  issued_at timestamptz not null,
  issued_by text not null,
  primary key (platform_id, id),
  unique (platform_id, legal_entity, number),
  unique (platform_id, seller_id, currency, period_start, period_end),
  foreign key (platform_id, seller_id) references seller,
  check (period_start < period_end)
);
create index issued_statement_seller_idx on issued_statement (platform_id, seller_id, id);
select marketbill_protect('issued_statement', 'select, insert');

create table fee_invoice (
  platform_id uuid not null references platform,
  id uuid not null,
  kind text not null check (kind in ('INVOICE', 'CREDIT_NOTE')),
  seller_id uuid not null,
  currency varchar(3) not null,
  period_start timestamptz not null,
  period_end timestamptz not null,
  legal_entity text not null,
  series text not null,
  number text not null,
  net bigint not null,
  tax bigint not null,
  corrects text[] not null,
  known bigint not null,
  issuer jsonb not null,
  seller jsonb not null,
  issued_at timestamptz not null,
  primary key (platform_id, id),
  unique (platform_id, legal_entity, number),
  unique (platform_id, seller_id, currency, period_start, kind),
  foreign key (platform_id, seller_id) references seller,
  check (period_start < period_end)
);
create index fee_invoice_seller_idx on fee_invoice (platform_id, seller_id, id);
select marketbill_protect('fee_invoice', 'select, insert');

create table fee_invoice_line (
  platform_id uuid not null,
  invoice_id uuid not null,
  ordinal integer not null check (ordinal >= 0),
  service text not null,
  jurisdiction text not null,
  liable text not null,
  rate numeric(7, 4),
  rule text not null,
  net bigint not null,
  tax bigint not null,
  primary key (platform_id, invoice_id, ordinal),
  foreign key (platform_id, invoice_id) references fee_invoice
);
select marketbill_protect('fee_invoice_line', 'select, insert');

create table invoice_month (
  platform_id uuid not null references platform,
  month date not null,
  opened_at timestamptz not null,
  primary key (platform_id, month)
);
select marketbill_protect('invoice_month', 'select, insert');
select marketbill_expose('invoice_month', 'select (platform_id, month)');

create table invoice_due (
  platform_id uuid not null references platform,
  month date not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  done_at timestamptz,
  primary key (platform_id, month, seller_id, currency)
);
create index invoice_due_waiting_idx on invoice_due (platform_id, month, seller_id) where done_at is null;
select marketbill_protect('invoice_due', 'select, insert');
grant update (done_at) on invoice_due to marketbill_app;
select marketbill_expose('invoice_due', 'select (platform_id, done_at)');

create table document_file (
  platform_id uuid not null references platform,
  document_id uuid not null,
  format text not null check (format in ('CSV', 'XLSX', 'PDF')),
  language text not null check (language in ('en', 'nl', 'de', 'fr')),
  sha256 bytea not null check (length(sha256) = 32),
  content bytea not null,
  made_at timestamptz not null,
  primary key (platform_id, document_id, format, language)
);
select marketbill_protect('document_file', 'select, insert');

create index tax_line_fee_idx on tax_line (platform_id, seller_id, currency, effective_at) where kind = 'FEE';
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
