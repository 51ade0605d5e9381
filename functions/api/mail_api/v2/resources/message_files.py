"""What is made of a message's content: header, texts, attachments, and the octets themselves."""

from collections.abc import Mapping
from urllib.parse import quote

from mail_api.v2.models.messages import Bodies, HeaderField, Headers
from mail_api.v2.operation import Answer, ApiError, Call, Operation
from mail_api.v2.resources.message_calls import detail_of, refusals
from mail_api.v2.resources.message_views import bodies_view
from mailroom.domain.tenancy.access import Scope
from mailroom.usecases.message_detail import (
    attachment,
    message_headers,
    message_parts,
    message_raw,
)

_OCTETS = "application/octet-stream"
_MAX_DIGITS = 4
_MAX_NAME = 200  # characters of a file's name in a header field
# Whatever a stranger wrote stays a file: no browser may show it as a page of ours.
_SAFE: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cache-control": "private, no-store",
}


def headers(call: Call) -> Headers:
    """Read all header fields of a message as it was accepted, in their order and decoded."""
    raw = _raw(call)
    found = [HeaderField(name=name, value=value) for name, value in message_headers(raw)]
    return Headers(data=found)


def bodies(call: Call) -> Bodies:
    """Read the first text and the first HTML of a message, and the list of its attachments."""
    shown = bodies_view(message_parts(_raw(call)))
    text = shown.model_dump_json()
    # It travels as a string inside the answer of a function, JSON in JSON.
    _require_fit(call, len(text.encode()) + text.count('"') + text.count("\\"))
    return shown


def raw(call: Call) -> Answer:
    """Read the message as it was accepted, before tracking and signing."""
    found = _raw(call, whole=True)
    name = f"{call.path['message']}.eml"
    return Answer(found, headers={**_SAFE, "content-disposition": f'attachment; filename="{name}"'})


def one_attachment(call: Call) -> Answer:
    """Read one attachment, decoded. `/bodies` lists them with their numbers and types."""
    text = call.path["attachment"]
    fits = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    with refusals():
        file = attachment(_raw(call), int(text) if fits else 0)
    _require_fit(call, _in_base64(len(file.content)))
    return Answer(file.content, headers={**_SAFE, "content-disposition": _named(file.name)})


def _raw(call: Call, *, whole: bool = False) -> bytes:
    submission = detail_of(call).submission
    if whole:  # before it is fetched
        _require_fit(call, _in_base64(submission.size))
    with refusals():
        ports = call.desk.api().ports
        return message_raw(submission, ports.bodies, ports.clock.now())


def _in_base64(octets: int) -> int:
    """Return how long octets are in an answer: a function hands them back in base64."""
    return (octets + 2) // 3 * 4


def _require_fit(call: Call, octets: int) -> None:
    api = call.desk.api()
    if octets > api.max_answer:
        raise ApiError(
            413,
            "response_too_large",
            f"The answer would be larger than {api.max_answer} octets{api.elsewhere}",
        )


def _named(name: str) -> str:
    """Return a Content-Disposition (RFC 6266) for a file whose name a stranger wrote."""
    kept = name.replace("/", "_").replace("\\", "_")[:_MAX_NAME] or "attachment"
    return f"attachment; filename*=UTF-8''{quote(kept, safe='')}"


_ONE = "/servers/{server}/messages/{message}"

OPERATIONS = (
    Operation("messages.headers", "GET", f"{_ONE}/headers", "Read the header of a message",
              headers, Scope.MESSAGES_READ, answer=Headers),
    Operation("messages.bodies", "GET", f"{_ONE}/bodies", "Read the texts of a message",
              bodies, Scope.MESSAGES_READ, answer=Bodies),
    Operation("messages.raw", "GET", f"{_ONE}/raw", "Read a raw message",
              raw, Scope.MESSAGES_READ, gives="message/rfc822"),
    Operation("messages.attachment", "GET", f"{_ONE}/attachments/{{attachment}}",
              "Read an attachment", one_attachment, Scope.MESSAGES_READ, gives=_OCTETS),
)  # fmt: skip
