"""Tables of the provider intents and their attempts."""

from enum import StrEnum

from sqlalchemy import Boolean, Column, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Instant, metadata, platform_key


class IntentStatus(StrEnum):
    """OPEN waits for its first attempt, or for the next after a refusal; UNKNOWN may have been done by the provider.

    SUCCEEDED and REFUSED are answers. GAVE_UP waits for an operator, who tries it again or abandons it.
    """

    OPEN = "OPEN"
    UNKNOWN = "UNKNOWN"
    SUCCEEDED = "SUCCEEDED"
    REFUSED = "REFUSED"
    GAVE_UP = "GAVE_UP"
    ABANDONED = "ABANDONED"


class AttemptOutcome(StrEnum):
    """How an attempt ended. INTERRUPTED: whoever made it never told; the next attempt looked it up."""

    SUCCEEDED = "SUCCEEDED"
    DECLINED = "DECLINED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    INTERRUPTED = "INTERRUPTED"


provider_intent = Table(
    "provider_intent",
    metadata,
    platform_key(),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("forgiven", Integer, nullable=False),
    Column("unsure", Boolean, nullable=False),
    Column("provider_id", Text),
    Column("last_error", JSONB),
    Column("held_for", Text),
    Column("decided_by", Text),
    Column("decided_at", Instant),
    Column("decision_reason", Text),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("reached_until", Instant),
    Column("spent", Boolean, nullable=False),
    Column("next_attempt_at", Instant),
)
"""One row for each thing asked of the provider, committed before it is asked.

`attempts` never goes back; those up to `forgiven` do not count any more, because an operator wanted it tried again.
`unsure`: an attempt, under whatever key, may have been done. `sent_at` is when the present key was first sent.
`reached_until`: the latest instant at which the provider can have received what it may still complete: the end of the
last attempt that could have reached it, while one is under way the end of its lease; null when nothing is outstanding.
`spent`: under the present key the provider only repeats an answer that it has given.
`decided_*`: which operator retried or abandoned it last, when, and why.
"""

provider_attempt = Table(
    "provider_attempt",
    metadata,
    platform_key(),
    Column("intent_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("looked_up", Boolean, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", Text),
    Column("http_status", Integer),
    Column("code", Text),
    Column("message", Text),
    Column("request_id", Text),
)
"""Every attempt of an intent: under which key (`generation`), whether the provider was asked first if an earlier one
had been done (`looked_up`), and what it answered. Rows are added and ended, never changed otherwise."""
