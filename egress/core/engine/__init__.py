"""What a host decides about its mail: when, from which address, over how many connections."""
