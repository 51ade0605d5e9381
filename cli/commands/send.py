"""`mailroom send`: one message from the command line."""

import base64
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.bodies import read_json, read_text
from cli.errors import UsageError
from cli.session import Session, session_of

PATH = "/api/v2/messages"
_INLINE = 3 * 1024 * 1024  # octets of files that go into the call; larger ones are uploaded first
_MAX_ATTACHMENTS = 50 * 1024 * 1024  # octets; the API says exactly how many it takes
_TEXT = "Text, @FILE, or - for standard input."
_MANY = list[str] | None


def send(
    ctx: typer.Context,
    from_: Annotated[str, typer.Option("--from", help="Sender: a@b.example or 'Ann <a@b>'.")],
    to: Annotated[list[str], typer.Option(help="Recipient; may be given often.")],
    subject: Annotated[str, typer.Option(help="Subject.")] = "",
    text: Annotated[str | None, typer.Option(help=f"Plain body. {_TEXT}")] = None,
    html: Annotated[str | None, typer.Option(help=f"HTML body. {_TEXT}")] = None,
    cc: Annotated[_MANY, typer.Option(help="Recipient in Cc; may be given often.")] = None,
    bcc: Annotated[_MANY, typer.Option(help="Hidden recipient; may be given often.")] = None,
    reply_to: Annotated[str | None, typer.Option(help="Address for replies.")] = None,
    attach: Annotated[_MANY, typer.Option(help="File to attach; may be given often.")] = None,
    header: Annotated[_MANY, typer.Option(help="'Name: value'; may be given often.")] = None,
    tag: Annotated[_MANY, typer.Option(help="Tag; may be given often.")] = None,
    metadata: Annotated[_MANY, typer.Option(help="name=value; may be given often.")] = None,
    stream: Annotated[str | None, typer.Option(help="Stream: transactional or a name.")] = None,
    at: Annotated[str | None, typer.Option(help="When: 2027-03-01T09:00:00Z.")] = None,
    server: Annotated[str | None, typer.Option(help="Server, if the key has several.")] = None,
    data: Annotated[str | None, typer.Option(help="More of the body as JSON, or @FILE.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Sending again with the same key sends nothing.")
    ] = None,
) -> None:
    """Send one message. Prints its ids."""
    session = session_of(ctx)
    extra = read_json(data) if data is not None else {}
    if not isinstance(extra, dict):
        raise UsageError("--data is no JSON object")
    said = {
        "from": from_,
        "to": to,
        "cc": cc,
        "bcc": bcc,
        "reply_to": reply_to,
        "subject": subject or None,
        "text": None if text is None else read_text(text),
        "html": None if html is None else read_text(html),
        "headers": dict(_pair(each, ":") for each in header or ()),
        "tags": tag,
        "metadata": dict(_pair(each, "=") for each in metadata or ()),
        "stream": stream,
        "send_at": at,
    }
    body = extra | {name: value for name, value in said.items() if value not in (None, [], {})}
    keys = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    wanted = server or session.profile.server
    files = read_files(attach or ())
    if sum(len(file.content) for file in files) > _INLINE:
        wanted = wanted or _own_server(session)
        body["attachments"] = [_uploaded(file, wanted, session) for file in files]
    elif files:
        body["attachments"] = [_inline(file) for file in files]
    path = f"/api/v2/servers/{quote(wanted, safe='')}/messages" if wanted else PATH
    sent = session.client.call("POST", path, body=body, headers=keys).body
    _print(sent, session)


@dataclass(frozen=True, slots=True)
class File:
    """A file to attach."""

    name: str
    content_type: str
    content: bytes


def read_files(names: Sequence[str]) -> list[File]:
    """Read files. Raises UsageError for one that cannot be read, or all too large."""
    found, total = [], 0
    for name in names:
        path = Path(name).expanduser()
        try:
            total += path.stat().st_size
            if total > _MAX_ATTACHMENTS:
                raise UsageError(f"with {name} the attachments are over {_MAX_ATTACHMENTS} octets")
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{name} cannot be read: {error.strerror}") from None
        type_ = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        found.append(File(path.name, type_, content))
    return found


def _inline(file: File) -> dict[str, Any]:
    content = base64.b64encode(file.content).decode("ascii")
    return {"name": file.name, "content_type": file.content_type, "content": content}


def _uploaded(file: File, server: str, session: Session) -> dict[str, Any]:
    """Put a file where the API says; return the attachment that names it."""
    path = f"/api/v2/servers/{quote(server, safe='')}/uploads"
    client = session.client
    place = client.call("POST", path, body={"size": len(file.content)}).body
    client.upload(str(place["url"]), file.content)
    return {"name": file.name, "content_type": file.content_type, "upload": place["upload"]}


def _own_server(session: Session) -> str:
    """Return the server of the key. Raises UsageError for a key of several."""
    server = session.client.call("GET", "/api/v2/me").body.get("server")
    if not server:
        raise UsageError("say --server: this key has several")
    return str(server)


def _print(sent: Any, session: Session) -> None:
    printer = session.printer
    messages = sent.get("messages") if isinstance(sent, dict) else None
    if printer.as_json or not isinstance(messages, list):
        printer.value(sent)
    else:
        printer.rows(messages, ("id", "recipient", "state"))


def _pair(text: str, separator: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise UsageError(f"{text!r} is not of the form name{separator}value")
    return name.strip(), value.strip()
