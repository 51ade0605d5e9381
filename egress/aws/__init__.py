"""The host's asynchronous adapters for AWS. Every call is batched: each costs a message's CPU."""
