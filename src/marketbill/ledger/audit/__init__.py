"""The journal read again from its first entry, and everything that follows from it made anew."""
