"""The commands that are written by hand; all others are made from the API's own description."""
