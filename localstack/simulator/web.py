"""The simulator's web side: pages to look at mail with, a JSON API for tests, webhook receivers.

Listens on loopback and knows no users. There is no CORS header anywhere, and what changes state
wants DELETE or a JSON body, so a foreign web page in the same browser cannot do it.
"""

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from localstack.simulator import pages
from localstack.simulator.contents import Contents, read_contents
from localstack.simulator.mailboxes import Mailboxes, StoredMessage
from localstack.simulator.script_routes import ScriptRoutes, read_json
from localstack.simulator.scripts import Scripts
from localstack.simulator.verdicts import Verdicts
from localstack.simulator.webhooks import MAX_BODY, Webhooks
from localstack.simulator.written import ScriptError

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
MAX_FAIL = 1_000
MAX_NAME = 100

# A mail may load pictures from anywhere: the simulator plays a recipient who allows that.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src * data:; frame-src 'self';"
    " form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Site:
    """The handlers; each answers one route."""

    mailboxes: Mailboxes
    verdicts: Verdicts
    webhooks: Webhooks
    scripts: Scripts

    def application(self) -> web.Application:
        """The aiohttp application with all routes."""
        application = web.Application(client_max_size=MAX_BODY, middlewares=[_finish])
        application.add_routes(
            [
                web.get("/", self.inbox_page),
                web.get("/messages/{id}", self.message_page),
                web.get("/webhooks", self.webhooks_page),
                web.post("/webhooks/{name}", self.receive_webhook),
                web.get("/health", self.health),
                web.get("/api/messages", self.list_messages),
                web.delete("/api/messages", self.delete_messages),
                web.get("/api/messages/{id}", self.show_message),
                web.get("/api/messages/{id}/raw", self.show_raw),
                web.get("/api/messages/{id}/attachments/{number}", self.show_attachment),
                web.get("/api/webhooks", self.list_webhooks),
                web.delete("/api/webhooks", self.delete_webhooks),
                web.get("/api/copies", self.count_copies),
                web.post("/api/script", self.dictate),
                *ScriptRoutes(self.scripts.playbook).routes(),
            ]
        )
        return application

    async def health(self, _: web.Request) -> web.Response:
        """Say that it works, and how much it holds."""
        counts = {"messages": len(self.mailboxes), "webhooks": len(self.webhooks)}
        return web.json_response({"status": "ok", **counts})

    async def inbox_page(self, request: web.Request) -> web.Response:
        """The newest messages."""
        wanted, before = _filters(request), request.query.get("before", "")
        messages = await self.verdicts.settle(
            self.mailboxes.newest(**wanted, before=before, limit=pages.PAGE), deadline=1.0
        )
        total = self.mailboxes.count(**wanted)
        return _page(pages.inbox(messages, to=wanted["to"], total=total, before=before))

    async def message_page(self, request: web.Request) -> web.Response:
        """One message with all there is to see about it."""
        message, raw = await self._message(request)
        return _page(pages.message(message, read_contents(raw), raw))

    async def webhooks_page(self, _: web.Request) -> web.Response:
        """The newest webhook requests."""
        found, total = self.webhooks.newest(limit=DEFAULT_LIMIT)
        return _page(pages.webhooks(found, total=total))

    async def list_messages(self, request: web.Request) -> web.Response:
        """Messages, newest first; with `after` those that came after it, oldest first."""
        wanted, limit = _filters(request), _number(request, "limit", DEFAULT_LIMIT)
        if after := request.query.get("after", ""):
            found = self.mailboxes.following(after, **wanted, limit=limit)
        else:
            before = request.query.get("before", "")
            found = self.mailboxes.newest(**wanted, before=before, limit=limit)
        settled = await self.verdicts.settle(found)
        total = self.mailboxes.count(**wanted)
        return web.json_response({"messages": list(map(self._listed, settled)), "total": total})

    async def count_copies(self, request: web.Request) -> web.Response:
        """How many messages each recipient has received."""
        recipients = self.mailboxes.copies(**_filters(request))
        total = sum(recipients.values())
        return web.json_response({"recipients": recipients, "total": total})

    async def show_message(self, request: web.Request) -> web.Response:
        """One message, taken apart."""
        message, raw = await self._message(request)
        return web.json_response(self._listed(message) | _detail(message, read_contents(raw), raw))

    async def show_raw(self, request: web.Request) -> web.Response:
        """The message as it came."""
        message, raw = await self._message(request)
        return _download(raw, f"{message.id}.eml")

    async def show_attachment(self, request: web.Request) -> web.Response:
        """One attachment, numbered from 0."""
        _, raw = await self._message(request)
        attachments = read_contents(raw).attachments
        number = request.match_info["number"]
        if not number.isdecimal() or int(number) >= len(attachments):
            raise web.HTTPNotFound(reason="no such attachment")
        found = attachments[int(number)]
        return _download(found.body, found.filename)

    async def delete_messages(self, _: web.Request) -> web.Response:
        """Empty all mailboxes."""
        return web.json_response({"deleted": self.mailboxes.clear()})

    async def receive_webhook(self, request: web.Request) -> web.Response:
        """Keep a webhook, then answer: 200, or as `?fail=` wants it."""
        name = request.match_info["name"][:MAX_NAME]
        fail = _number(request, "fail", 0, most=MAX_FAIL)
        code = self.webhooks.receive(name, request.headers, await request.read(), fail=fail)
        return web.Response(status=code, text=f"{code}\n")

    async def list_webhooks(self, request: web.Request) -> web.Response:
        """Webhook requests, newest first."""
        event, limit = request.query.get("event", ""), _number(request, "limit", DEFAULT_LIMIT)
        found, total = self.webhooks.newest(event=event, limit=limit)
        return web.json_response({"webhooks": found, "total": total})

    async def delete_webhooks(self, _: web.Request) -> web.Response:
        """Forget all webhook requests."""
        return web.json_response({"deleted": self.webhooks.clear()})

    async def dictate(self, request: web.Request) -> web.Response:
        """Queue replies for one recipient."""
        document = await read_json(request)
        try:
            waiting = self.scripts.dictate(document)
        except ScriptError as error:
            raise web.HTTPBadRequest(reason=str(error)) from error
        return web.json_response({"waiting": waiting})

    def _listed(self, message: StoredMessage) -> dict[str, Any]:
        return _summary(message) | {"copies": self.mailboxes.copies_of(message)}

    async def _message(self, request: web.Request) -> tuple[StoredMessage, bytes]:
        found = self.mailboxes.get(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(reason="no such message")
        try:
            raw = self.mailboxes.raw(found)
        except FileNotFoundError as error:
            raise web.HTTPGone(reason="the message was deleted") from error
        return (await self.verdicts.settle([found]))[0], raw


@web.middleware
async def _finish(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = web.json_response({"error": error.reason}, status=error.status)
    response.headers.update(_HEADERS)
    return response


def _page(html: str) -> web.Response:
    return web.Response(
        body=html.encode("utf-8", "replace"), content_type="text/html", charset="utf-8"
    )


def _download(body: bytes, filename: str) -> web.Response:
    # Never a type that a browser would show: mail is a stranger's, this origin is ours.
    quoted = quote(filename.replace("/", "_"), safe="")
    return web.Response(
        body=body,
        content_type="application/octet-stream",
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quoted}"},
    )


def _number(request: web.Request, name: str, default: int, *, most: int = MAX_LIMIT) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= most):
        raise web.HTTPBadRequest(reason=f"{name} must be a whole number up to {most}")
    return int(text)


def _filters(request: web.Request) -> dict[str, str]:
    moments = {name: _moment(request, name) for name in ("since", "until")}
    return {"to": request.query.get("to", ""), **moments}


def _moment(request: web.Request, name: str) -> str:
    text = request.query.get(name, "")
    if not text:
        return ""
    try:
        # An unescaped + of a time zone arrives as a blank.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError) as error:
        reason = f"{name} must be a time in ISO 8601, such as 2030-01-31T12:00:00Z"
        raise web.HTTPBadRequest(reason=reason) from error


def _summary(message: StoredMessage) -> dict[str, Any]:
    return {
        "id": message.id,
        "to": message.to,
        "mail_from": message.mail_from,
        "subject": message.subject,
        "received_at": message.received_at,
        "size": message.size,
        "dkim": message.dkim,
        "tls": message.tls or None,
        "message_id": message.message_id,
    }


def _detail(message: StoredMessage, contents: Contents, raw: bytes) -> dict[str, Any]:
    return {
        "headers": contents.headers,
        "text": contents.text,
        "html": contents.html,
        "attachments": [
            {
                "filename": each.filename,
                "content_type": each.content_type,
                "size": len(each.body),
                "sha256": each.sha256,
            }
            for each in contents.attachments
        ],
        "links": contents.links,
        "text_links": contents.text_links,
        "pixels": contents.pixels,
        "raw": base64.b64encode(raw).decode("ascii"),
        "mx_host": message.mx_host,
        "peer": message.peer,
        "helo": message.helo,
        "tls_cipher": message.cipher or None,
        "dkim_reason": message.dkim_reason,
    }
