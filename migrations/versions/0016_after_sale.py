"""What happens after a sale: shares released one by one, money given back, what payouts are made of."""

from alembic import op

revision = "0016"
down_revision = "0015"

# A share of a sale that was released, or planned as a transfer, before this had the payment's instants.
CHANGES = """
alter table payment_share add column hold_from text not null default '';
alter table payment_share add column hold_days integer not null default 0;
alter table payment_share add column release_on timestamptz;
alter table payment_share add column released_at timestamptz;
alter table payment_share add column transfers_planned_at timestamptz;
alter table payment_share add column returned bigint not null default 0;
alter table payment no force row level security;
alter table payment_share no force row level security;
update payment_share s set hold_from = p.hold_from, hold_days = p.hold_days, release_on = p.release_on,
  released_at = p.released_at, transfers_planned_at = p.transfers_planned_at
  from payment p where p.platform_id = s.platform_id and p.id = s.payment_id;
alter table payment force row level security;
alter table payment_share force row level security;
grant update (returned, release_on, released_at, transfers_planned_at) on payment_share to marketbill_app;

alter table transfer add column kind text not null default 'SALE'
  constraint transfer_kind_check check (kind in ('SALE', 'RESERVE', 'AGAIN'));
alter table transfer add column reversed bigint not null default 0
  constraint transfer_reversed_check check (reversed between 0 and amount);
-- squawk-ignore ban-drop-constraint
alter table transfer drop constraint transfer_status_check;
alter table transfer add constraint transfer_status_check
  check (status in ('PENDING', 'HELD', 'SENT', 'REFUSED', 'CANCELED')) not valid;
-- squawk-ignore ban-drop-constraint
alter table transfer drop constraint transfer_platform_id_payment_id_seller_id_key;
create index transfer_payment_idx on transfer (platform_id, payment_id, seller_id);

create table payout_item (
  platform_id uuid not null,
  id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  rail text not null default 'PROVIDER' check (rail in ('PROVIDER', 'BANK')),
  source_type text not null,
  source_id uuid not null,
  amount bigint not null check (amount <> 0),
  claimed bigint not null default 0,
  created_at timestamptz not null,
  primary key (platform_id, id),
  unique (platform_id, source_type, source_id, rail),
  foreign key (platform_id, seller_id) references seller,
  constraint payout_item_claimed_check check (claimed between least(amount, 0) and greatest(amount, 0))
);
create index payout_item_open_idx on payout_item (platform_id, seller_id, currency, created_at) where claimed <> amount;
select marketbill_protect('payout_item', 'select, insert');
grant update (claimed) on payout_item to marketbill_app;
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
