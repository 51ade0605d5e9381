"""Verbs of a message's walk: ask ports, call decisions, tell ports."""
