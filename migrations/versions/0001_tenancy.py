"""Roles, the tenant wall, platforms and their keys, idempotency, the test clock."""

from alembic import op

revision = "0001"
down_revision = None

ROLES = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'marketbill_app') then
    create role marketbill_app nologin nosuperuser nobypassrls;
  end if;
  if not exists (select from pg_roles where rolname = 'marketbill_system') then
    create role marketbill_system nologin nosuperuser nobypassrls;
  end if;
  execute format('grant marketbill_app, marketbill_system to %I', current_user);
  if exists (select from pg_roles where rolname = 'marketbill_login') then
    grant marketbill_app, marketbill_system to marketbill_login;
  end if;
end $$
"""

# Row-level security with one policy: a row belongs to the tenant that the transaction has named.
PROTECT = """
create function marketbill_protect(target regclass, rights text) returns void language plpgsql as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format('create policy tenant on %s to marketbill_app
    using (platform_id = nullif(current_setting(''app.platform_id'', true), '''')::uuid)
    with check (platform_id = nullif(current_setting(''app.platform_id'', true), '''')::uuid)', target);
  execute format('grant %s on %s to marketbill_app', rights, target);
end $$
"""

# The second door: what a background loop may see across tenants, table by table.
EXPOSE = """
create function marketbill_expose(target regclass, rights text) returns void language plpgsql as $$
begin
  execute format('create policy system on %s to marketbill_system using (true) with check (true)', target);
  execute format('grant %s on %s to marketbill_system', rights, target);
end $$
"""

TABLES = """
create table test_clock (id bigint primary key check (id = 1), shift_seconds bigint not null);
grant select on test_clock to marketbill_app;
grant select, insert, update on test_clock to marketbill_system;

create table platform (
  platform_id uuid primary key,
  name text not null check (length(name) between 1 and 200),
  country varchar(2) not null,
  default_currency varchar(3) not null,
  fee_tax_rate numeric(7, 4) not null check (fee_tax_rate between 0 and 100),
  hold_from text not null check (hold_from in ('CAPTURE', 'DELIVERY')),
  hold_days integer not null check (hold_days between 0 and 90),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  version integer not null default 1
);
select marketbill_protect('platform', 'select, insert, update');
select marketbill_expose('platform', 'select (platform_id, name, created_at)');

create table api_key (
  platform_id uuid not null references platform,
  id uuid not null,
  name text not null check (length(name) between 1 and 100),
  role text not null check (role in ('OPERATOR', 'OPERATOR_READONLY', 'SERVICE')),
  hint text not null,
  secret_hash bytea not null,
  created_at timestamptz not null,
  last_used_at timestamptz,
  revoked_at timestamptz,
  primary key (platform_id, id)
);
select marketbill_protect('api_key', 'select, insert, update');

create table provider_credential (
  platform_id uuid primary key references platform,
  secret_key text not null,
  secret_key_hint text not null,
  webhook_secret text not null,
  connect_webhook_secret text not null,
  provider_account text not null,
  livemode boolean not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
select marketbill_protect('provider_credential', 'select, insert, update');

create table fee_rule (
  platform_id uuid not null references platform,
  id uuid not null,
  version integer not null check (version > 0),
  percent numeric(7, 4) not null check (percent between 0 and 100),
  fixed jsonb not null,
  fixed_scope text not null check (fixed_scope in ('ORDER', 'SELLER_ORDER', 'LINE', 'UNIT')),
  base text not null check (base in ('GROSS', 'NET')),
  fee_tax_mode text not null check (fee_tax_mode in ('EXCLUSIVE', 'INCLUSIVE')),
  created_at timestamptz not null,
  primary key (platform_id, id),
  unique (platform_id, version)
);
select marketbill_protect('fee_rule', 'select, insert');

create table idempotency_key (
  platform_id uuid not null,
  actor text not null,
  operation text not null,
  key text not null check (length(key) between 1 and 255),
  body_hash bytea not null,
  outcome jsonb,
  subject_id uuid,
  claimed_at timestamptz not null,
  finished_at timestamptz,
  primary key (platform_id, actor, operation, key)
);
create index idempotency_key_claimed_at_idx on idempotency_key (platform_id, claimed_at);
select marketbill_protect('idempotency_key', 'select, insert, update, delete');
select marketbill_expose('idempotency_key', 'select (platform_id, actor, operation, key, claimed_at), delete');
"""


def upgrade() -> None:
    op.execute(ROLES)
    op.execute(PROTECT)
    op.execute(EXPOSE)
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
