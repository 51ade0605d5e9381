"""`mailroom send`: one message from the command line."""

import base64
import mimetypes
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.bodies import read_json, read_text
from cli.errors import UsageError
from cli.session import session_of

PATH = "/api/v2/messages"
_MAX_ATTACHMENTS = 25 * 1024 * 1024  # octets; the API says exactly how many it takes
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
        "attachments": attachments(attach or ()),
        "headers": dict(_pair(each, ":") for each in header or ()),
        "tags": tag,
        "metadata": dict(_pair(each, "=") for each in metadata or ()),
        "stream": stream,
        "send_at": at,
    }
    body = extra | {name: value for name, value in said.items() if value not in (None, [], {})}
    keys = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    wanted = server or session.profile.server
    path = f"/api/v2/servers/{wanted}/messages" if wanted else PATH
    session.printer.value(session.client.call("POST", path, body=body, headers=keys).body)


def attachments(names: "list[str] | tuple[str, ...]") -> list[dict[str, Any]]:
    """Read files as attachments. Raises UsageError for one that cannot be read or all too much."""
    found, total = [], 0
    for name in names:
        path = Path(name).expanduser()
        try:
            total += path.stat().st_size
            if total > _MAX_ATTACHMENTS:
                raise UsageError(f"with {name} the attachments are over {_MAX_ATTACHMENTS} octets")
            content = base64.b64encode(path.read_bytes()).decode("ascii")
        except OSError as error:
            raise UsageError(f"{name} cannot be read: {error.strerror}") from None
        type_ = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        found.append({"name": path.name, "content_type": type_, "content": content})
    return found


def _pair(text: str, separator: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise UsageError(f"{text!r} is not of the form name{separator}value")
    return name.strip(), value.strip()
