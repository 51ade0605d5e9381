"""The simulator's web pages. Pure: values in, HTML out; every value from outside is escaped."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

from localstack.simulator.behaviours import TABLE
from localstack.simulator.contents import Contents
from localstack.simulator.mailboxes import StoredMessage
from localstack.simulator.profiles import PROFILES
from localstack.simulator.style import STYLE
from localstack.zones import RECIPIENT_DOMAIN

PAGE = 100  # messages in one page of the list
MAX_SHOWN = 500_000  # characters of one text; the download has all of it

# Links of a mail open beside the page, with no script and no way back to it.
_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
_BASE = '<!doctype html><base target="_blank">'


def inbox(messages: Sequence[StoredMessage], *, to: str, total: int, before: str = "") -> str:
    """The list of messages, newest first, and the tables of behaviours and of hosts. `before` is
    the id this page of the list begins after.
    """
    rows = "".join(map(_inbox_row, messages))
    listing = (
        "<table><thead><tr><th>To</th><th>Subject</th><th>From</th><th>Received (UTC)</th>"
        f"<th>Size</th><th>DKIM</th><th>TLS</th></tr></thead><tbody>{rows}</tbody></table>"
        if messages
        else f"<p class=empty>No mail yet. Send some to <code>accept@{RECIPIENT_DOMAIN}</code>.</p>"
    )
    search = (
        f'<form><input name=to value="{escape(to)}" placeholder="recipient, or how it begins">'
        "<button>Show</button></form>"
    )
    shown = f"<p class=quiet>{len(messages)} of {total} messages, newest first</p>"
    return _page("Inbox", search + shown + listing + _turns(messages, to, before) + _behaviours())


def message(found: StoredMessage, contents: Contents, raw: bytes) -> str:
    """One message: as a reader sees it, and everything behind that."""
    tabs = [
        ("HTML", _html_view(contents.html)),
        ("Text", _text_view(contents.text, "This message has no text part.")),
        ("Headers", _pairs(contents.headers)),
        (f"Attachments ({len(contents.attachments)})", _attachments(found, contents)),
        ("Links", _links(contents)),
        ("Delivery", _delivery(found)),
        ("Raw", _raw_view(found, raw)),
    ]
    if not contents.html:
        tabs[0], tabs[1] = tabs[1], tabs[0]
    head = (
        f"<h1>{escape(found.subject) or '(no subject)'}</h1>"
        f"<p class=quiet>to <b>{escape(found.to)}</b> · {_when(found.received_at)} · "
        f"{_size(found.size)} · DKIM {_badge(found.dkim)} · {_tls(found)}</p>"
    )
    return _page(found.subject or "Message", head + _tabs(tabs))


def webhooks(found: Sequence[Mapping[str, Any]], *, total: int) -> str:
    """The list of webhook requests, newest first, each with its body to unfold."""
    rows = "".join(map(_webhook_row, found))
    listing = (
        "<table><thead><tr><th>Event</th><th>Received (UTC)</th><th>Receiver</th><th>Signature</th>"
        f"<th>Answered</th><th>Payload</th></tr></thead><tbody>{rows}</tbody></table>"
        if found
        else "<p class=empty>No webhooks yet. Point one to <code>/webhooks/NAME</code> here.</p>"
    )
    shown = f"<h1>Webhooks</h1><p class=quiet>{len(found)} of {total}, newest first</p>"
    return _page("Webhooks", shown + listing)


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang=en><head><meta charset="utf-8">'
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f'<title>{escape(title)} · Mailbox simulator</title><link rel=icon href="data:,">'
        f"<style>{STYLE}</style></head><body><header><b>Mailbox simulator</b>"
        '<nav><a href="/">Inbox</a><a href="/webhooks">Webhooks</a></nav></header>'
        f"<main>{body}</main></body></html>"
    )


def _inbox_row(each: StoredMessage) -> str:
    subject = escape(each.subject) or "(no subject)"
    return (
        f"<tr><td>{escape(each.to)}</td>"
        f'<td><a href="/messages/{escape(each.id)}">{subject}</a></td>'
        f"<td class=wrap>{escape(each.mail_from or '<>')}</td><td>{_when(each.received_at)}</td>"
        f"<td>{_size(each.size)}</td><td>{_badge(each.dkim)}</td><td>{_tls(each)}</td></tr>"
    )


def _webhook_row(each: Mapping[str, Any]) -> str:
    verified = _badge("pass" if each.get("verified") else "fail")
    payload = json.dumps(each.get("payload"), indent=2, ensure_ascii=False)
    headers = each.get("headers")
    fields = headers.items() if isinstance(headers, Mapping) else []
    return (
        f"<tr><td>{escape(str(each.get('event')))}<br><small>{escape(str(each.get('uuid')))}</small>"
        f"</td><td>{_when(str(each.get('received_at')))}</td>"
        f"<td>{escape(str(each.get('name')))}</td><td>{verified}</td>"
        f"<td>{escape(str(each.get('answer')))}</td><td><details><summary>show</summary>"
        f"<pre>{_cut(payload)}</pre>{_pairs(fields)}</details></td></tr>"
    )


def _behaviours() -> str:
    rows = "".join(
        f"<tr><td><code>{row.name}@{RECIPIENT_DOMAIN}</code></td><td>{escape(row.summary)}</td>"
        f"<td><code>{escape(row.reply)}</code></td></tr>"
        for row in TABLE
    )
    return (
        "<h2>What the recipient's address does</h2><p class=quiet>The part before + chooses, what"
        " follows keeps mailboxes apart: <code>greylist+anything</code>.</p><table><thead>"
        "<tr><th>Recipient</th><th>The host</th><th>Reply</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>" + _hosts()
    )


def _hosts() -> str:
    rows = "".join(
        f"<tr><td><code>@{row.name}.{RECIPIENT_DOMAIN}</code></td>"
        f"<td>{escape(row.summary)}</td></tr>"
        for row in PROFILES
    )
    return (
        "<h2>What the recipient's domain does</h2><table><thead><tr><th>Domain</th>"
        f"<th>Its host</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _turns(messages: Sequence[StoredMessage], to: str, before: str) -> str:
    """Links to the newest and to older messages, where there can be any."""
    links = ['<a href="/?' + urlencode({"to": to}) + '">newest</a>'] if before else []
    if len(messages) >= PAGE:
        older = urlencode({"to": to, "before": messages[-1].id})
        links.append(f'<a href="/?{escape(older)}">older</a>')
    return f"<p>{' · '.join(links)}</p>" if links else ""


def _tabs(tabs: Iterable[tuple[str, str]]) -> str:
    parts = []
    for number, (label, body) in enumerate(tabs):
        checked = " checked" if number == 0 else ""
        parts.append(
            f'<input type=radio name=tab id="tab{number}"{checked}>'
            f'<label for="tab{number}">{escape(label)}</label><section>{body}</section>'
        )
    return f"<div class=tabs>{''.join(parts)}</div>"


def _html_view(html: str) -> str:
    if not html:
        return "<p class=empty>This message has no HTML part.</p>"
    # Lazy: a picture in a tab that nobody opens must not count as opened.
    return (
        f'<iframe title="HTML part" sandbox="{_SANDBOX}" loading=lazy referrerpolicy=no-referrer '
        f'srcdoc="{escape(_BASE + html)}"></iframe>'
    )


def _text_view(text: str, otherwise: str) -> str:
    return f"<pre>{_cut(text)}</pre>" if text else f"<p class=empty>{otherwise}</p>"


def _raw_view(found: StoredMessage, raw: bytes) -> str:
    link = f'<p><a href="/api/messages/{escape(found.id)}/raw" download>Download .eml</a></p>'
    return link + f"<pre>{_cut(raw[: MAX_SHOWN + 1].decode('utf-8', 'replace'))}</pre>"


def _attachments(found: StoredMessage, contents: Contents) -> str:
    rows = "".join(
        f'<tr><td><a href="/api/messages/{escape(found.id)}/attachments/{number}" download>'
        f"{escape(each.filename)}</a></td><td>{escape(each.content_type)}</td>"
        f"<td>{_size(len(each.body))}</td><td class=wrap><small>{each.sha256}</small></td></tr>"
        for number, each in enumerate(contents.attachments)
    )
    head = "<tr><th>Name</th><th>Type</th><th>Size</th><th>SHA-256</th></tr>"
    if not rows:
        return "<p class=empty>No attachments.</p>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _links(contents: Contents) -> str:
    kinds = (
        ("HTML link", contents.links),
        ("text link", contents.text_links),
        ("tracking pixel", contents.pixels),
    )
    return _pairs((kind, url) for kind, urls in kinds for url in urls)


def _delivery(found: StoredMessage) -> str:
    return _pairs(
        [
            ("MAIL FROM", found.mail_from or "<>"),
            ("RCPT TO", found.to),
            ("DKIM", f"{found.dkim} {found.dkim_reason}"),
            ("TLS", f"{found.tls} {found.cipher}".strip() or "none, clear text"),
            ("MX host", found.mx_host),
            ("Client", f"{found.peer} (EHLO {found.helo})"),
            ("Message-ID", found.message_id),
            ("Received", found.received_at),
        ]
    )


def _pairs(pairs: Iterable[tuple[object, object]]) -> str:
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td class=wrap>{_cut(str(value))}</td></tr>"
        for name, value in pairs
    )
    return f"<table class=pairs>{rows}</table>" if rows else "<p class=empty>Nothing here.</p>"


def _cut(text: str) -> str:
    return escape(text[:MAX_SHOWN]) + (" … (cut)" if len(text) > MAX_SHOWN else "")


def _badge(verdict: str) -> str:
    return f'<span class="badge {escape(verdict)}">{escape(verdict)}</span>'


def _tls(found: StoredMessage) -> str:
    return escape(found.tls) or "<span class=quiet>clear</span>"


def _when(moment: str) -> str:
    return f"<time>{escape(moment[:19].replace('T', ' '))}</time>"


def _size(octets: int) -> str:
    return f"{octets} B" if octets < 1024 else f"{octets / 1024:,.1f} KiB"
