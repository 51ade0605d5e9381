"""What the calls of Postal's v1 answer: the schema of each `data`, and the codes of its errors."""

from collections.abc import Mapping, Sequence

from mail_api.postal_envelope import Json

_EVERY_CALL = ("AccessDenied", "InvalidServerAPIKey", "ServerSuspended", "ResponseTooLarge")

CODES: Mapping[str, Sequence[str]] = {
    "send/message": (
        *_EVERY_CALL,
        "NoRecipients",
        "TooManyToAddresses",
        "TooManyCCAddresses",
        "TooManyBCCAddresses",
        "NoContent",
        "FromAddressMissing",
        "UnauthenticatedFromAddress",
        "AttachmentMissingName",
        "AttachmentMissingData",
        "SendLimitExceeded",
    ),
    "send/raw": (*_EVERY_CALL, "UnauthenticatedFromAddress", "SendLimitExceeded"),
    "messages/message": (*_EVERY_CALL, "MessageNotFound"),
    "messages/deliveries": (*_EVERY_CALL, "MessageNotFound"),
}

_STRING: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_BOOLEAN: Json = {"type": "boolean"}
_MAYBE_STRING: Json = {"type": ["string", "null"]}
_MAYBE_NUMBER: Json = {"type": ["number", "null"]}
# Below 2^53, so that every JSON reader keeps it exact.
_INTEGER: Json = {"type": "integer", "minimum": 0, "exclusiveMaximum": 2**53}
_BASE64: Json = {"type": "string", "pattern": "^([A-Za-z0-9+/]{1,60}={0,2}\n)*$"}


def _object(properties: Json, *, required: Sequence[str] | None = None) -> Json:
    return {
        "type": "object",
        "required": list(properties) if required is None else list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def _maybe(schema: Json) -> Json:
    return {"oneOf": [schema, {"type": "null"}]}


def _list(schema: Json) -> Json:
    return {"type": "array", "items": schema}


_TOKEN: Json = {"type": "string", "pattern": "^[A-Za-z0-9]{16}$"}

_ACCEPTED = _object(
    {
        "message_id": _MAYBE_STRING,
        "messages": {
            "type": "object",
            "additionalProperties": _object({"id": _INTEGER, "token": _TOKEN}),
        },
    }
)

_STATUS = _object(
    {
        "status": {
            "enum": [
                "Pending",
                "Sent",
                "SoftFail",
                "HardFail",
                "Held",
                "Bounced",
                "HoldCancelled",
            ]
        },
        "last_delivery_attempt": _MAYBE_NUMBER,
        "held": _BOOLEAN,
        "hold_expiry": _MAYBE_NUMBER,
    }
)

_DETAILS = _object(
    {
        "rcpt_to": _STRING,
        "mail_from": _STRING,
        "subject": _MAYBE_STRING,
        "message_id": _MAYBE_STRING,
        "timestamp": _NUMBER,
        "direction": {"const": "outgoing"},
        "size": {"type": "string", "pattern": "^[0-9]+$"},
        "bounce": _BOOLEAN,
        "bounce_for_id": _INTEGER,
        "tag": _MAYBE_STRING,
        "received_with_ssl": {"type": ["boolean", "null"]},
    }
)

_INSPECTION = _object(
    {
        "inspected": _BOOLEAN,
        "spam": _BOOLEAN,
        "spam_score": _NUMBER,
        "threat": _BOOLEAN,
        "threat_details": _MAYBE_STRING,
    }
)

_ATTACHMENT = _object(
    {
        "filename": _STRING,
        "content_type": _STRING,
        "data": _BASE64,
        "size": _INTEGER,
        "hash": {"type": "string", "pattern": "^[0-9a-f]{40}$"},
    }
)

_LOAD: Json = {
    "ip_address": _STRING,
    "user_agent": _STRING,
    "timestamp": {
        "type": "string",
        "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
    },
}

_MESSAGE = _object(
    {
        "id": _INTEGER,
        "token": _TOKEN,
        "status": _STATUS,
        "details": _DETAILS,
        "inspection": _INSPECTION,
        "plain_body": _MAYBE_STRING,
        "html_body": _MAYBE_STRING,
        "attachments": _maybe(_list(_ATTACHMENT)),
        "headers": _maybe({"type": "object", "additionalProperties": _list(_STRING)}),
        "raw_message": _maybe(_BASE64),
        "activity_entries": _object(
            {"loads": _list(_object(_LOAD)), "clicks": _list(_object(_LOAD | {"url": _STRING}))}
        ),
    },
    required=("id", "token"),
)

_DELIVERY = _object(
    {
        "id": _INTEGER,
        "status": {"enum": ["Sent", "SoftFail", "HardFail", "Held", "HoldCancelled"]},
        "details": _STRING,
        "output": _STRING,
        "sent_with_ssl": _BOOLEAN,
        "log_id": _STRING,
        "time": _MAYBE_NUMBER,
        "timestamp": _NUMBER,
    }
)

ANSWERS: Mapping[str, Json] = {
    "send/message": _ACCEPTED,
    "send/raw": _ACCEPTED,
    "messages/message": _MESSAGE,
    "messages/deliveries": _list(_DELIVERY),
}
