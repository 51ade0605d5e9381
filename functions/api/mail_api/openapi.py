"""Postal's v1 as an OpenAPI 3.1 description, with the limits that `schema.py` enforces.

Strict about what we answer (a test holds every answer to it), generous about what callers may
send: what a schema cannot say stands in docs/api/postal-v1.md.
"""

from collections.abc import Sequence

from mail_api.openapi_answers import ANSWERS, CODES
from mail_api.postal_envelope import Json
from mail_api.recipients import MAX_FIELD
from mail_api.schema import EXPANSIONS, MAX_ATTACHMENTS, MAX_TAG
from mailroom.usecases.accept import MAX_ACCEPTED_RECIPIENTS

_TEXT: Json = {"type": ["string", "null"]}
# Ruby's rule: everything but null and false counts as true.
_FLAG: Json = {"type": ["boolean", "null"]}
_ID: Json = {
    "oneOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]{1,20}$"}],
    "description": "The integer id of a message, or the same as a string of digits.",
}

_SUMMARY = {
    "/api/v1/send/message": "Send a message made of its parts",
    "/api/v1/send/raw": "Send a whole message (RFC 5322)",
    "/api/v1/messages/message": "Read one message",
    "/api/v1/messages/deliveries": "List what became of one message",
}


def describe() -> Json:
    """Return the OpenAPI document, JSON-ready."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Postal v1",
            "version": "1",
            "description": (
                "Every call is answered with HTTP 200 and an envelope. GET, PUT and PATCH do the"
                " same as POST, and the field `params` may stand in the query string."
            ),
        },
        "paths": {path: {"post": _operation(path)} for path in _SUMMARY},
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-Server-API-Key"}
            },
        },
        "security": [{"key": []}],
    }


def _operation(path: str) -> Json:
    call = path.removeprefix("/api/v1/")
    request = REQUESTS[call]
    form = {
        "type": "object",
        "properties": {
            "params": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": request,
            }
        },
    }
    return {
        "operationId": call.replace("/", "_"),
        "summary": _SUMMARY[path],
        "requestBody": {
            "content": {
                "application/json": {"schema": request, "example": EXAMPLES[call]},
                "application/x-www-form-urlencoded": {"schema": form},
            }
        },
        "responses": {
            "200": {
                "description": "Whatever came of it; `status` says what",
                "content": {
                    "application/json": {"schema": envelope(ANSWERS[call], CODES[call])},
                },
            }
        },
    }


def envelope(content: Json, codes: Sequence[str]) -> Json:
    """Return the schema of the answers of one call: its `data`, or one of its error codes."""
    error = {
        "type": "object",
        "required": ["code"],
        "properties": {
            "code": {"enum": list(codes)},
            "message": {"type": "string"},
            "id": {"type": ["integer", "string"], "description": "MessageNotFound: as given"},
            "token": {"type": "string", "description": "InvalidServerAPIKey: as given"},
        },
        "additionalProperties": False,
    }
    malformed = {
        "type": "object",
        "required": ["message"],
        "properties": {"message": {"type": "string"}},
        "additionalProperties": False,
    }
    outcomes = (("success", content), ("error", error), ("parameter-error", malformed))
    return {"oneOf": [_outcome(status, shape) for status, shape in outcomes]}


def _outcome(status: str, content: Json) -> Json:
    properties = {
        "status": {"const": status},
        "time": {"type": "number", "minimum": 0},
        "flags": {"type": "object", "maxProperties": 0},
        "data": content,
    }
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def _addresses(limit: int) -> Json:
    return {
        "oneOf": [
            {"type": "array", "items": {"type": "string"}, "maxItems": limit},
            {"type": "string", "description": "The same, separated by commas"},
            {"type": "null"},
        ]
    }


_ATTACHMENT: Json = {
    "type": "object",
    "required": ["name", "data"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "content_type": _TEXT | {"default": "application/octet-stream"},
        "data": {"type": "string", "minLength": 1, "contentEncoding": "base64"},
    },
}

REQUESTS: dict[str, Json] = {
    "send/message": {
        "type": "object",
        "required": ["from"],
        "properties": {
            "to": _addresses(MAX_FIELD),
            "cc": _addresses(MAX_FIELD),
            "bcc": _addresses(MAX_FIELD),
            "from": {"type": "string", "minLength": 1},
            "sender": _TEXT,
            "reply_to": _TEXT,
            "subject": _TEXT,
            "tag": _TEXT | {"maxLength": MAX_TAG},
            "plain_body": _TEXT,
            "html_body": _TEXT,
            "attachments": {
                "type": ["array", "null"], "items": _ATTACHMENT, "maxItems": MAX_ATTACHMENTS
            },
            "headers": {
                "type": ["object", "null"],
                "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
            },
            "bounce": _FLAG,
        },
    },
    "send/raw": {
        "type": "object",
        "required": ["rcpt_to", "mail_from", "data"],
        "properties": {
            "rcpt_to": {
                "type": "array", "items": {"type": "string"}, "maxItems": MAX_ACCEPTED_RECIPIENTS
            },
            "mail_from": {"type": "string", "minLength": 1},
            "data": {"type": "string", "minLength": 1, "contentEncoding": "base64"},
            "bounce": _FLAG,
        },
    },
    "messages/message": {
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": _ID,
            "_expansions": {
                "oneOf": [
                    {"type": ["boolean", "null"]},
                    {"type": "array", "items": {"enum": list(EXPANSIONS)}},
                ]
            },
        },
    },
    "messages/deliveries": {"type": "object", "required": ["id"], "properties": {"id": _ID}},
}  # fmt: skip

EXAMPLES: dict[str, Json] = {
    "send/message": {
        "to": ["Ann <ann@example.org>"],
        "from": "Shop <shop@demo.test>",
        "subject": "Your order",
        "plain_body": "Thank you.",
        "attachments": [
            {"name": "bill.txt", "content_type": "text/plain", "data": "VG90YWw6IDEyCg=="}
        ],
    },
    "send/raw": {
        "rcpt_to": ["ann@example.org"],
        "mail_from": "shop@demo.test",
        "data": "RnJvbTogc2hvcEBkZW1vLnRlc3QNClN1YmplY3Q6IEhpDQoNCkhlbGxvDQo=",
    },
    "messages/message": {"id": 469198340356096, "_expansions": ["status", "details"]},
    "messages/deliveries": {"id": 469198340356096},
}
