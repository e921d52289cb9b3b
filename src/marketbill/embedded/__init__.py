"""The embedded machine: PostgreSQL, Valkey and marketbill's own processes, all owned by one process.

It is for one computer on which nothing is installed.

Nothing here is used in production, where `DATABASE_URL` and `BROKER_URL` name servers that somebody else keeps.
"""
