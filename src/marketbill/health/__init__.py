"""Health: what waits, how long it may, who sees to it, and whom to tell when it waits longer."""
