"""The commands of taxes: a file for each subject."""
