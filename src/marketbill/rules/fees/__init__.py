"""The fees of a sale: schedules of rules, which rule holds for a line and why, and what it charges."""
