"""Platforms: the tenants, their keys, credentials, fee rule and tax setting."""
