"""Mailroom: the shared library every function and every egress host imports."""
