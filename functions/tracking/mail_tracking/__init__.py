"""The tracking host: the hottest endpoint, which reads nothing to answer."""
