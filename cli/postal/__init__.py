"""The import from Postal: its tables, read from MariaDB or from a dump, become calls of our API."""
