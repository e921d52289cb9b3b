"""Tax rates that an operator added to the built-in ones, or set in their place."""

from alembic import op

revision = "0012"
down_revision = "0011"

# Rows are only inserted: a wrong one is replaced by another, an open one ends where the next begins. `version` counts
# the rows of a platform, so that two who add at once cannot both be right about what stands.
TABLES = """
create table tax_rate_row (
  platform_id uuid not null references platform,
  id uuid not null,
  version integer not null check (version >= 1),
  jurisdiction text not null check (length(jurisdiction) between 2 and 6),
  tax text not null check (length(tax) between 1 and 50),
  category text not null check (length(category) between 1 and 50),
  supply text not null check (length(supply) <= 50),
  rate numeric(7, 4) not null check (rate between 0 and 100),
  valid_from date not null,
  valid_to date check (valid_to > valid_from),
  legal_source text not null check (length(legal_source) between 1 and 500),
  source_url text not null check (length(source_url) between 9 and 1000 and source_url like 'https://%'),
  note text not null check (length(note) <= 500),
  estimate boolean not null,
  replaces_id uuid,
  reason text not null check (length(reason) between 1 and 500),
  added_by text not null check (length(added_by) between 1 and 200),
  added_at timestamptz not null,
  primary key (platform_id, id),
  constraint tax_rate_row_platform_id_version_key unique (platform_id, version),
  constraint tax_rate_row_platform_id_replaces_id_key unique (platform_id, replaces_id),
  constraint tax_rate_row_platform_id_replaces_id_fkey
    foreign key (platform_id, replaces_id) references tax_rate_row (platform_id, id)
);
select marketbill_protect('tax_rate_row', 'select, insert');
"""


def upgrade() -> None:
    for statement in filter(str.strip, TABLES.split(";\n")):
        op.execute(statement)
