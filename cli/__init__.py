"""The command line tool `mailroom`: the API for people and scripts, and what moves a platform."""
