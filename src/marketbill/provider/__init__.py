"""The payment provider: the port that the use cases speak to, its intents, its retry rules, and the Stripe adapter."""
