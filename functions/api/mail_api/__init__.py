"""The HTTPS API: Postal's v1 and the native v2."""
