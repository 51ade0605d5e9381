"""Warm-up: how a new source address comes to be trusted, a day's cap at a time."""
