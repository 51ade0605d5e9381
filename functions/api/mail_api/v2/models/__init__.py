"""The schemas of requests and answers. Unknown fields are refused, every string has a limit."""
