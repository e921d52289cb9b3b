"""The control plane: what a test or an operator of the sandbox may do that no provider would let them.

A file per noun; each has a function ``routes(plane)``, and ``table`` joins them. Bodies and answers are JSON.
"""
