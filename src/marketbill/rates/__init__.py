"""Public exchange rates: where they come from, where they are kept, and which of them a computation may use."""
