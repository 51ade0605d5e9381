"""Reply rules: what a remote server's words mean, as data, and the judge that applies them.

Nothing here reads a file or a clock; the rules that are shipped are read by
`mailroom/adapters/shipped.py`.
"""
