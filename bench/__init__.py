"""Benchmarks: measured, printed, never asserted in tests."""
