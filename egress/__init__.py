"""The egress host: SMTP submission in, MX delivery out."""
