"""The background edge: the broker, the jobs, the outbox relay and the schedule."""
