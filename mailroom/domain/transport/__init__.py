"""Transport security as data: what receiving domains demand of it, and what they are told.

MTA-STS is RFC 8461, TLS reports are RFC 8460. Who fetches policies and who counts is in `egress`.
"""
