"""The HTTP API app served on a host, for bodies that Lambda does not take."""
