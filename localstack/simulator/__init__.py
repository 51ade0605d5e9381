"""The mailbox simulator: the world's MX hosts, mailboxes and webhook receivers on one machine.

Read `behaviours` first: the recipient's address decides what a host does.
"""
