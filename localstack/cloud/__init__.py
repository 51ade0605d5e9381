"""Making the resources of `infra/resources.json` with plain API calls, each one repeatable."""
