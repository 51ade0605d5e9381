"""Sending as data: sites, paths, sources, their settings, and what a reply says about them.

The decisions that only an egress host takes are in `egress/core/engine`; here is what hosts, the
API and the scheduler must all understand in the same way.
"""
