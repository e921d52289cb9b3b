"""The parts of the marketplace year: its world, who trades in it, and the reckoning at its end."""
