"""The rules of a sale, pure: what is computed here knows no clock, no randomness, no database and no network."""
