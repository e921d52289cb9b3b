"""The dashboard: the sandbox's state and its control plane as pages for people.

A file per family of pages; ``table`` joins them. Pages are written by the server from the templates beside this file
and work without scripts; what changes something is a form that posts to the control plane.
"""
