"""Fee schedules in versions, groups of sellers, and the volume of each seller."""

from alembic import op

revision = "0011"
down_revision = "0010"

# A document writes amounts in major units, so what was kept in minor units is turned by the currency's decimals.
NO_DECIMALS = "'BIF','CLP','DJF','GNF','ISK','JPY','KMF','KRW','PYG','RWF','UGX','UYI','VND','VUV','XAF','XOF','XPF'"
THREE_DECIMALS = "'BHD','IQD','JOD','KWD','LYD','OMR','TND'"

# A published schedule cannot be changed: the policies of drafts are restrictive, so they hold beside the tenant's own.
TABLES = """
create table fee_schedule (
  platform_id uuid not null references platform,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  status text not null check (status in ('DRAFT', 'PUBLISHED')),
  version integer check (version > 0),
  document jsonb not null,
  document_hash bytea not null,
  effective_from timestamptz,
  created_at timestamptz not null,
  created_by text not null check (length(created_by) between 1 and 200),
  updated_at timestamptz not null,
  published_at timestamptz,
  published_by text check (length(published_by) between 1 and 200),
  primary key (platform_id, id),
  unique (platform_id, version),
  unique (platform_id, effective_from),
  constraint fee_schedule_published_check check ((status = 'PUBLISHED') = (version is not null)
    and (version is null) = (effective_from is null) and (version is null) = (published_at is null)
    and (version is null) = (published_by is null))
);
alter table fee_rule no force row level security;
insert into fee_schedule (platform_id, id, name, status, version, document, document_hash, effective_from, created_at,
                          created_by, updated_at, published_at, published_by)
select platform_id, id, 'Fee rule', 'PUBLISHED', version, document, sha256(convert_to(document::text, 'UTF8')),
  created_at, created_at, 'migration', created_at, created_at, 'migration'
from fee_rule cross join lateral (select
  jsonb_build_object('name', 'Fee rule', 'rules', jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
    'name', 'commission',
    'percent', case when percent <> 0 or fixed = '{}' then trim_scale(percent)::text end,
    'fixed', (
      select jsonb_object_agg(currency, case
        when currency in ({no_decimals}) then amount
        when currency in ({three_decimals}) then round(amount::numeric / 1000, 3)::text
        else round(amount::numeric / 100, 2)::text end)
      from jsonb_each_text(fixed) as each (currency, amount)),
    'fixed_scope', nullif(fixed_scope, 'ORDER'),
    'base', base,
    'tax_mode', fee_tax_mode)))) as document) as made;
-- squawk-ignore ban-drop-table
drop table fee_rule;
select marketbill_protect('fee_schedule', 'select, insert, update, delete');
create policy drafts_change on fee_schedule as restrictive for update to marketbill_app using (status = 'DRAFT')
  with check (true);
create policy drafts_go on fee_schedule as restrictive for delete to marketbill_app using (status = 'DRAFT');

-- squawk-ignore renaming-column
alter table payment rename column fee_rule_id to fee_schedule_id;

alter table seller add column groups text[] not null default '{}';

create table seller_volume (
  platform_id uuid not null,
  seller_id uuid not null,
  currency varchar(3) not null,
  month date not null,
  gross bigint not null,
  primary key (platform_id, seller_id, currency, month)
);
alter table payment no force row level security;
alter table payment_share no force row level security;
insert into seller_volume (platform_id, seller_id, currency, month, gross)
select s.platform_id, s.seller_id, p.currency, date_trunc('month', p.booked_at at time zone 'UTC')::date, sum(s.gross)
from payment_share s
join payment p on p.platform_id = s.platform_id and p.id = s.payment_id
where p.booked_at is not null
group by 1, 2, 3, 4;
alter table payment force row level security;
alter table payment_share force row level security;
select marketbill_protect('seller_volume', 'select, insert, update');
"""


def upgrade() -> None:
    text = TABLES.replace("{no_decimals}", NO_DECIMALS).replace("{three_decimals}", THREE_DECIMALS)
    for statement in filter(str.strip, text.split(";\n")):
        op.execute(statement)
