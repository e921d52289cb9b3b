"""What a sale may also have: discounts that the platform funds, fees of the buyer, parts for others, taxes it owes."""

from alembic import op

revision = "0010"
down_revision = "0009"

# Everything that was sold before has none of these; the wider checks take the place of those that are dropped.
CHANGES = """
alter table payment add column channel text not null default '';
alter table payment add column method text not null default '';
alter table payment add column ordered_at timestamptz;
alter table payment add column promo bigint not null default 0;
alter table payment add column buyer_fee bigint not null default 0;
alter table payment add column buyer_fee_tax bigint not null default 0;
alter table payment add column deemed_tax bigint not null default 0;
alter table payment add column withheld bigint not null default 0;
alter table payment add column processor_fee bigint not null default 0;
alter table payment add column buyer_legs jsonb not null default '{}';
alter table payment add column settlement_currency varchar(3);
alter table payment add column settlement_gross bigint;
alter table payment add column settlement_rate jsonb;
-- squawk-ignore ban-drop-constraint
alter table payment drop constraint payment_check;
alter table payment add constraint payment_parts_check check (gross + promo
  = seller_net + fee + fee_tax + buyer_fee + buyer_fee_tax + deemed_tax + withheld + processor_fee) not valid;

alter table payment_line add column product text not null default '';
alter table payment_line add column tax_category text not null default '';
alter table payment_line add column shipping bigint not null default 0;
alter table payment_line add column shipping_tax bigint not null default 0;
alter table payment_line add column discount bigint not null default 0;
alter table payment_line add column promo bigint not null default 0;
alter table payment_line add column buyer_fee bigint not null default 0;
alter table payment_line add column buyer_fee_tax bigint not null default 0;
alter table payment_line add column deemed_tax bigint not null default 0;
alter table payment_line add column withheld bigint not null default 0;
alter table payment_line add column processor_fee bigint not null default 0;
alter table payment_line add column passed_on bigint not null default 0;
-- squawk-ignore ban-drop-constraint
alter table payment_line drop constraint payment_line_check;
alter table payment_line add constraint payment_line_parts_check check (gross = net + tax and gross
  = seller_net + fee + fee_tax + deemed_tax + withheld + processor_fee + passed_on) not valid;

alter table payment_share add column promo bigint not null default 0;
alter table payment_share add column deemed_tax bigint not null default 0;
alter table payment_share add column withheld bigint not null default 0;
alter table payment_share add column processor_fee bigint not null default 0;
alter table payment_share add column received bigint not null default 0;
alter table payment_share add column passed_on bigint not null default 0;
alter table payment_share add column legs jsonb not null default '{}';
alter table payment_share add column settled_net bigint;
alter table payment no force row level security;
alter table payment_share no force row level security;
update payment_share s set legs = jsonb_build_object('fees', case when s.fee > 0 then jsonb_build_object('', s.fee)
    else '{}' end, 'fee_tax', case when s.fee_tax > 0 then jsonb_build_object(p.tax_country, s.fee_tax) else '{}' end)
  from payment p where p.platform_id = s.platform_id and p.id = s.payment_id;
alter table payment force row level security;
alter table payment_share force row level security;
-- squawk-ignore ban-drop-constraint
alter table payment_share drop constraint payment_share_check;
alter table payment_share add constraint payment_share_parts_check check (gross + received
  = seller_net + fee + fee_tax + deemed_tax + withheld + processor_fee + passed_on) not valid;
grant update (seller_net, processor_fee, settled_net) on payment_share to marketbill_app;
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
