"""Webhooks: events that come in from the provider."""
