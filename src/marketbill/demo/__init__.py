"""A small marketplace to look at, and one day of its life: all of it goes through the API, as a platform would."""
