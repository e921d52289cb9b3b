"""Why a seller may not sell, by whom, and until when; what of debts and write-offs waits too long."""

from alembic import op

revision = "0024"
down_revision = "0023"

CHANGES = """
create table seller_suspension (
  platform_id uuid not null,
  id uuid not null,
  seller_id uuid not null,
  cause text not null check (cause in ('DEBT', 'OPERATOR')),
  reason text not null check (length(reason) between 1 and 1000),
  placed_at timestamptz not null,
  placed_by text not null,
  written_off_at timestamptz,
  lifted_at timestamptz,
  lifted_by text,
  lift_reason text check (length(lift_reason) between 1 and 1000),
  primary key (platform_id, id),
  foreign key (platform_id, seller_id) references seller,
  check ((lifted_at is null) = (lifted_by is null)),
  check ((lifted_at is null) = (lift_reason is null))
);
create unique index seller_suspension_open_idx on seller_suspension (platform_id, seller_id, cause)
  where lifted_at is null;
create index seller_suspension_debt_idx on seller_suspension (platform_id, seller_id)
  where lifted_at is null and cause = 'DEBT' and written_off_at is null;
create index seller_suspension_seller_idx on seller_suspension (platform_id, seller_id, id);

alter table seller no force row level security;
alter table debt no force row level security;
alter table debt_step no force row level security;
insert into seller_suspension (platform_id, id, seller_id, cause, reason, placed_at, placed_by)
  select s.platform_id, gen_random_uuid(), s.id, case when l.done_at is null then 'OPERATOR' else 'DEBT' end,
    coalesce(l.note, 'Suspended before reasons were kept.'), coalesce(l.done_at, s.updated_at), 'marketbill'
  from seller s left join lateral (
    select t.done_at, t.note from debt d join debt_step t on t.platform_id = d.platform_id and t.debt_id = d.id
    where d.platform_id = s.platform_id and d.seller_id = s.id and d.remaining > 0 and t.outcome = 'SUSPENDED'
    order by t.done_at desc limit 1
  ) l on true
  where s.suspended;
alter table seller force row level security;
alter table debt force row level security;
alter table debt_step force row level security;
select marketbill_protect('seller_suspension', 'select, insert');
grant update (written_off_at, lifted_at, lifted_by, lift_reason) on seller_suspension to marketbill_app;
select marketbill_expose('seller_suspension',
  'select (platform_id, seller_id, cause, written_off_at, lifted_at)');

grant select (seller_id, currency) on debt to marketbill_system;
select marketbill_expose('debt_policy', 'select (platform_id, version, limits)');
select marketbill_expose('write_off', 'select (platform_id, status, proposed_at)')
"""


def upgrade() -> None:
    for statement in filter(str.strip, CHANGES.split(";\n")):
        op.execute(statement)
