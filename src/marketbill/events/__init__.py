"""Events: the inbox of what the provider tells us, the outbox of the jobs we owe, and the slots of the schedule."""
