"""Sending, natively: a message in, one message for each recipient out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mail_api.postal_envelope import ParameterError
from mail_api.recipients import read_mailbox
from mail_api.sending import postmark_of
from mail_api.v2.models import sending as model
from mail_api.v2.operation import ApiError, Call, Operation, invalid
from mail_api.v2.resources.sending_calls import credential_of, refusals, server_of, stream_of
from mailroom.domain.address import Address
from mailroom.domain.compose import Attachment, Letter, Mailbox, compose
from mailroom.domain.header_encoding import UnfitHeaderError
from mailroom.domain.headers import to_crlf
from mailroom.domain.job_file import upload_key
from mailroom.domain.labels import Labels
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.identity import is_id, new_id
from mailroom.domain.token import message_token
from mailroom.domain.transfer_encoding import decoded
from mailroom.ports.files import Files
from mailroom.usecases.accept import MAX_ACCEPTED_RECIPIENTS, Accepted, Parcel, accept

LINK_SECONDS = 3600
_MAX_BODY = 128 * 1024 * 1024  # octets: what stands before this app allows less
_FIELDS = ("to", "cc", "bcc")


def send(call: Call) -> model.Sent:
    """Accept a message for sending.

    The answer has one message for each recipient: queued, scheduled, or suppressed for one who
    gets no mail any more. When it comes, the message is stored durably.
    """
    api, asked = call.desk.api(), call.body
    if len(call.raw) > api.max_body:
        raise ApiError(413, "body_too_large", f"The body is over {api.max_body} octets")
    server, credential = server_of(call), credential_of(call)
    fields = {name: _mailboxes(getattr(asked, name), name) for name in _FIELDS}
    envelope, merge = _envelope(asked, fields)
    raw, mail_from, message_id = _content(call, asked, fields)
    parcel = Parcel(
        server=server,
        credential=credential,
        source="api" if asked.raw is None else "raw",
        mail_from=mail_from,
        recipients=envelope,
        raw=raw,
        received_with_ssl=True,
        labels=Labels(
            stream=stream_of(call, asked.stream),
            tags=tuple(dict.fromkeys(asked.tags)),
            metadata=asked.metadata,
            track_opens=asked.track_opens,
            track_clicks=asked.track_clicks,
        ),
        merge=merge,
        send_at=_moment(asked.send_at),
        test=asked.test,
        individual=asked.individual,
    )
    secret = api.token_secret()  # before the commit: failing after it would have it sent again
    with refusals(call):
        accepted = accept(parcel, api.ports)
    return _sent(accepted, message_id, secret)


def create_upload(call: Call) -> model.Upload:
    """Say where to put a file that is to be attached, when it is too large for the call."""
    registrar = call.desk.registrar
    now = registrar.clock.now()
    id_ = new_id("upl", now=now, chance=registrar.chance, environment=registrar.environment)
    url = _files(call).upload_link(upload_key(call.parent, id_), call.body.size, LINK_SECONDS)
    return model.Upload(upload=id_, url=url, expires_at=now + LINK_SECONDS)


def _content(
    call: Call, asked: model.MessageSend, fields: Mapping[str, Sequence[Mailbox]]
) -> tuple[bytes, str, str | None]:
    """Return the raw message, its envelope sender, and its Message-ID if that is ours."""
    author = _mailbox(asked.from_, "from") if asked.from_ is not None else None
    mail_from = str(author[1]) if author else ""
    if asked.raw is not None:
        return to_crlf(_octets(asked.raw, "raw")), mail_from, None
    if author is None:
        raise invalid("from", "Name the author")
    shown = {} if asked.individual else fields
    letter = Letter(
        author=author,
        to=tuple(shown.get("to", ())),
        cc=tuple(shown.get("cc", ())),
        reply_to=_reply_to(asked.reply_to),
        subject=asked.subject,
        plain=asked.text,
        html=asked.html,
        attachments=_attachments(call, asked.attachments),
        headers=tuple(_headers(asked)),
    )
    api = call.desk.api()
    postmark = postmark_of(api, call.address, private=server_of(call).privacy)
    try:
        return compose(letter, postmark), mail_from, postmark.message_id
    except UnfitHeaderError as error:
        raise invalid("", str(error), "unfit_header") from error


def _headers(asked: model.MessageSend) -> Sequence[tuple[str, str]]:
    hidden = {"to", "cc"} if asked.individual else frozenset[str]()
    return [(name, text) for name, text in asked.headers.items() if name.lower() not in hidden]


def _envelope(
    asked: model.MessageSend, fields: Mapping[str, Sequence[Mailbox]]
) -> tuple[tuple[Address, ...], Mapping[str, Mapping[str, str]]]:
    """Return each recipient once, in the order of first mention, and the texts of each."""
    merge: dict[Address, dict[str, str]] = {}
    for name in _FIELDS:
        for given, (_, address) in zip(getattr(asked, name), fields[name], strict=True):
            own = given.substitutions if isinstance(given, model.Recipient) else {}
            merge[address] = {**asked.substitutions, **merge.get(address, {}), **own}
    if len(merge) > MAX_ACCEPTED_RECIPIENTS:
        raise invalid("to", f"There are more than {MAX_ACCEPTED_RECIPIENTS} recipients in all")
    return tuple(merge), {str(address): texts for address, texts in merge.items() if texts}


def _mailboxes(given: Sequence[str | model.Mailbox], path: str) -> Sequence[Mailbox]:
    return [_mailbox(each, f"{path}.{place}") for place, each in enumerate(given)]


def _mailbox(given: str | model.Mailbox, path: str) -> Mailbox:
    text, name = (given, "") if isinstance(given, str) else (given.email, given.name)
    try:
        found = read_mailbox(text, "this")
    except ParameterError as error:
        raise invalid(path, str(error), "address") from error
    return name or found.name, found.address


def _reply_to(
    given: str | model.Mailbox | Sequence[str | model.Mailbox] | None,
) -> tuple[Mailbox, ...]:
    if given is None:
        return ()
    if isinstance(given, (str, model.Mailbox)):
        return (_mailbox(given, "reply_to"),)
    return tuple(_mailboxes(given, "reply_to"))


def _attachments(call: Call, given: Sequence[model.Attachment]) -> tuple[Attachment, ...]:
    left = call.desk.api().ports.max_message_size
    found: list[Attachment] = []
    for place, each in enumerate(given):
        path = f"attachments.{place}"
        if each.upload is not None:
            content = _uploaded(call, each.upload, left, path)
        else:
            content = _octets(each.content or "", f"{path}.content")
        left -= len(content)
        if left < 0:
            raise _too_large(call)
        found.append(Attachment(each.name, each.content_type, content, each.content_id or ""))
    return tuple(found)


def _uploaded(call: Call, upload: str, most: int, path: str) -> bytes:
    """Return a file that was put before. One of another server is like one that never was."""
    unknown = invalid(f"{path}.upload", "No upload is called that", "unknown")
    if not is_id(upload, "upl"):
        raise unknown
    key, files = upload_key(call.parent, upload), _files(call)
    try:
        size = files.size(key)
        if size > most:
            raise _too_large(call)
        return files.read(key, 0, size)
    except KeyError:
        raise unknown from None


def _octets(encoded: str, path: str) -> bytes:
    octets = decoded(encoded.encode("ascii"), "base64") if encoded.isascii() else None
    if octets is None:
        raise invalid(path, "This is not base64", "base64")
    return octets


def _too_large(call: Call) -> ApiError:
    most = call.desk.api().ports.max_message_size
    return ApiError(413, "message_too_large", f"The message would be larger than {most} octets")


def _moment(given: float | datetime | None) -> float | None:
    return given.timestamp() if isinstance(given, datetime) else given


def _sent(accepted: Accepted, message_id: str | None, secret: bytes) -> model.Sent:
    submission = accepted.submission
    return model.Sent(
        message_id=message_id or submission.message_id,
        stream=submission.stream,
        send_at=submission.send_at,
        messages=[
            model.SentMessage(
                id=each.key.postal_id,
                recipient=each.recipient,
                state=each.state,
                token=message_token(each.key, secret),
            )
            for each in accepted.deliveries
        ],
    )


def _files(call: Call) -> Files:
    files: Files = call.desk.area("files")
    return files


_SEND = Operation("messages.send", "POST", "/servers/{server}/messages", "Send a message", send,
                  Scope.MESSAGES_SEND, answer=model.Sent, body=model.MessageSend, status=202,
                  max_body=_MAX_BODY)  # fmt: skip
_UPLOAD = Operation("uploads.create", "POST", "/servers/{server}/uploads",
                    "Say where to put a large attachment", create_upload, Scope.MESSAGES_SEND,
                    answer=model.Upload, body=model.UploadCreate, status=201)  # fmt: skip

OPERATIONS = (
    _SEND,
    replace(_SEND, id="messages.send_own", path="/messages", flat="server",
            summary="Send a message by the key's own server"),
    _UPLOAD,
    replace(_UPLOAD, id="uploads.create_own", path="/uploads", flat="server",
            summary="Say where to put a large attachment for the key's own server"),
)  # fmt: skip
