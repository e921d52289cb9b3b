"""A small marketplace to look at, and one day of its life: everything here goes through the API, as a platform would."""
