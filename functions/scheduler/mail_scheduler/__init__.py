"""What has to happen at a time rather than after an event."""
