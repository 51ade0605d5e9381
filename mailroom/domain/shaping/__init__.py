"""What each path may do, as operators write it: provider rules, layers, limits over addresses.

Nothing here reads a file or a clock; the sets that are shipped are read by
`mailroom/adapters/shipped.py`.
"""
