"""Taking money back from sellers: reversals, debts, set-off, write-offs."""
