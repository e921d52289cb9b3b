"""What is known of sellers' and the platform's tax: registrations, and VAT numbers with their evidence."""

from alembic import op

revision = "0013"
down_revision = "0012"

TABLES = """
alter table platform add column vat_number text;
alter table platform add column tax_registrations text[] not null default '{}';

alter table seller add column tax_registrations text[] not null default '{}';
alter table seller add column small_business boolean not null default false;
alter table seller add column vat_status text not null default 'UNCHECKED'
  constraint seller_vat_status_check check (vat_status in ('VALID', 'INVALID', 'PENDING', 'UNCHECKED'));
alter table seller add column vat_checked_at timestamptz;

create table vat_check (
  platform_id uuid not null,
  id uuid not null,
  seller_id uuid not null,
  country varchar(2) not null,
  number text not null,
  status text not null check (status in ('VALID', 'INVALID', 'PENDING', 'UNCHECKED')),
  requested_at timestamptz not null,
  answered_at timestamptz,
  consultation text,
  holder text,
  answer jsonb,
  attempts integer not null default 0,
  next_attempt_at timestamptz,
  failure text,
  primary key (platform_id, id),
  foreign key (platform_id, seller_id) references seller,
  constraint vat_check_answered_check check ((status in ('VALID', 'INVALID')) = (answered_at is not null)),
  constraint vat_check_pending_check check ((status = 'PENDING') = (next_attempt_at is not null))
);
create index vat_check_seller_id_idx on vat_check (platform_id, seller_id, id);
create index vat_check_due_idx on vat_check (platform_id, next_attempt_at) where next_attempt_at is not null;
select marketbill_protect('vat_check', 'select, insert, update');
select marketbill_expose('vat_check', 'select (platform_id, next_attempt_at)');
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
