"""marketbill: payments and billing for marketplaces, split, booked, paid out and proven to the cent."""

__version__ = "0.1.0"
