"""Who owns what and who may do what: organisations, servers and all that hangs on them."""
