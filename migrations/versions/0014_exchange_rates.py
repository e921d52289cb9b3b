"""Public exchange rates with their source and day, and by which of them a platform's sellers are paid."""

from alembic import op

revision = "0014"
down_revision = "0013"

# Public and the same for everybody: no tenant's, read by all, added to by the background work.
TABLES = """
create table exchange_rate (
  source text not null check (length(source) between 1 and 40),
  base varchar(3) not null check (length(base) = 3),
  quote varchar(3) not null check (length(quote) = 3 and quote <> base),
  fixed_on date not null,
  numerator bigint not null check (numerator > 0),
  denominator bigint not null check (denominator > 0),
  read_at timestamptz not null,
  primary key (source, base, quote, fixed_on)
);
grant select on exchange_rate to marketbill_app;
grant select, insert on exchange_rate to marketbill_system;

alter table platform add column seller_rate text not null default 'PROVIDER'
  check (seller_rate in ('PROVIDER', 'MID', 'MARKUP'));
alter table platform add column seller_rate_markup numeric(7, 4) not null default 0
  check (seller_rate_markup >= 0 and seller_rate_markup < 100);
alter table platform add constraint platform_seller_terms_check
  check ((seller_rate = 'MARKUP') = (seller_rate_markup > 0)) not valid;
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
