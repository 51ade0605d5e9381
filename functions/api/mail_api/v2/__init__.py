"""The management API: one table of operations, from which all else is made.

An operation says its method, path, scope and schemas and what it calls. Routes, validation,
authorisation, idempotency, limits, the OpenAPI document and the test that no tenant reaches
another's things are made from that.
"""
