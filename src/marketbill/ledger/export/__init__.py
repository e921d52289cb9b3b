"""The books for others: a period as hledger journal, beancount file, CSV or Parquet."""
