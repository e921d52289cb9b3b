"""What a sale's tax was decided to be, by line, for reports by jurisdiction and period; and who computes taxes."""

from alembic import op

revision = "0015"
down_revision = "0014"

# Written with the entries of the charge and never changed: what is taken back later is a further row with amounts below
# zero. No references to the payment, because a foreign key would be a trigger on the hot path.
TABLES = """
create table tax_line (
  platform_id uuid not null,
  payment_id uuid not null,
  ordinal integer not null check (ordinal >= 0),
  kind text not null check (kind in ('SALE', 'FEE', 'BUYER_FEE', 'WITHHELD')),
  line_id text not null,
  seller_id uuid,
  seller_country text not null,
  buyer_country text not null,
  liable text not null check (liable in ('SELLER', 'PLATFORM', 'BUYER', 'NOBODY')),
  jurisdiction text not null,
  category text not null,
  scheme text not null,
  supply text not null,
  ship_from text not null,
  rate numeric(7, 4) not null check (rate between 0 and 100),
  rule text not null,
  account text not null,
  currency varchar(3) not null check (length(currency) = 3),
  net bigint not null,
  tax bigint not null,
  effective_at timestamptz not null,
  tax_point timestamptz not null,
  primary key (platform_id, payment_id, ordinal)
);
create index tax_line_effective_at_idx on tax_line (platform_id, effective_at);
select marketbill_protect('tax_line', 'select, insert');

alter table platform add column tax_provider text not null default 'BUILT_IN'
  constraint platform_tax_provider_check check (tax_provider in ('BUILT_IN', 'STRIPE'));
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
