"""The parts of the chaos hour: who trades, what goes wrong, how it comes to rest, and the reckoning."""
