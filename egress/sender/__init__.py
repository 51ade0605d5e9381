"""The sender process: from a wake-up to a recorded verdict. Read `attempt.py` first."""
