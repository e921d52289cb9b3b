"""The sandbox provider: a payment provider in one process that speaks Stripe's wire.

The real ``stripe`` client talks to it over HTTP; the rest of marketbill never imports it. State lives in one
SQLite file, so a restart or a ``kill -9`` loses nothing that was answered.
"""
