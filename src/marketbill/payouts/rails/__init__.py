"""The bank's rail: payouts as orders to the platform's own bank, in files of ISO 20022."""
