"""The embedded machine: PostgreSQL, Valkey and marketbill's own processes under one owner, for one computer without anything installed.

Nothing here is used in production, where `DATABASE_URL` and `BROKER_URL` name servers that somebody else keeps.
"""
