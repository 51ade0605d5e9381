"""The only place that knows AWS, DNS and HTTP: each module fulfils a port with one technology."""
