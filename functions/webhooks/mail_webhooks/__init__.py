"""Events on their way: from the table to the topic, into history, out to the tenants' webhooks."""
