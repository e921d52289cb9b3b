"""What operators do to the books: they close periods, correct entries, freeze and close accounts, set guards."""
