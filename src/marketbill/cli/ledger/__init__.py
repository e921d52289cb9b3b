"""The commands of the books: a file for each."""
