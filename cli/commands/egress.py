"""`mailroom egress`: the sending hosts. Most of it is the API's; here is what is watched.

Orders have a short form each: `mailroom egress pause --site gmail --reason "they ask"`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.client import items_of
from cli.commands import egress_documents, egress_orders
from cli.errors import UnfinishedError, UsageError
from cli.output import Printer, shown
from cli.session import Session, required, session_of

ROOT = "/api/v2/egress"
_PATHS = ("address", "site", "state", "ready", "connections", "binding", "sent", "deferred",
          "bounced", "until")  # fmt: skip
_HOSTS = ("process", "waiting", "in_flight", "parked", "paths", "draining", "at")
_QUEUES = ("name", "waiting", "hosts")
_TRACE_TRIES = 150
_TRACE_EVERY = 2.0
_ENDED = ("done", "failed")


def make() -> typer.Typer:
    """Return the group with what is written by hand."""
    app = typer.Typer(no_args_is_help=True)
    app.command("top")(top)
    app.command("why")(why)
    app.command("trace")(trace)
    app.command("resolve")(resolve)
    app.command("accounting")(accounting)
    app.command("settings")(egress_documents.settings)
    for name, command in egress_orders.verbs().items():
        app.command(name, help=egress_orders.about(name))(command)
    return app


def inner(app: typer.Typer) -> dict[str, typer.Typer]:
    """Return groups within the group that have commands written by hand, by their words."""
    orders = typer.Typer(no_args_is_help=True)
    orders.command("add", help="Give an order.")(egress_orders.add())
    app.add_typer(orders, name="orders", help="Orders in force.")
    return {"egress orders": orders, **egress_documents.groups(app)}


def top(
    ctx: typer.Context,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=1.0)] = 2.0,
    rows: Annotated[int, typer.Option(help="Paths and queues shown.", min=1, max=100)] = 15,
    *,
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
) -> None:
    """Watch hosts, paths and queues until interrupted. JSON Lines with --json."""
    session = session_of(ctx)
    while True:
        seen = look(session, rows)
        if session.printer.as_json:
            session.printer.json_line(seen)
        else:
            session.printer.restart()
            show(seen, session.printer)
        session.printer.out.file.flush()
        if once:
            return
        session.wait(every)


def look(session: Session, rows: int) -> dict[str, Any]:
    """Return what `top` shows."""
    client = session.client
    return {
        "status": client.call("GET", f"{ROOT}/status").body,
        "hosts": items_of(client.call("GET", f"{ROOT}/hosts", query={"limit": rows}).body),
        "paths": items_of(client.call("GET", f"{ROOT}/paths", query={"limit": rows}).body),
        "queues": items_of(client.call("GET", f"{ROOT}/queues", query={"limit": rows}).body),
    }


def show(seen: Mapping[str, Any], printer: Printer) -> None:
    """Print it as tables."""
    status = seen["status"]
    words = ("hosts", "waiting", "in_flight", "parked", "orders", "sent", "deferred", "bounced")
    printer.line("  ".join(f"{word} {shown(status.get(word))}" for word in words))
    states = (f"{name} {count}" for name, count in sorted(status.get("paths", {}).items()))
    printer.line("  ".join(["paths:", *states]))
    for name, columns in (("hosts", _HOSTS), ("paths", _PATHS), ("queues", _QUEUES)):
        if seen[name]:
            printer.line("")
            printer.heading(name)
            printer.rows(seen[name], columns)


def why(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A delivery, or the id of a source address.")],
    site: Annotated[str, typer.Argument(help="With an address: the key of a site.")] = "",
) -> None:
    """Say why a delivery waits, or why a path is as it is."""
    session = session_of(ctx)
    printer = session.printer
    path = f"paths/{quote(name, safe='')}/{quote(site, safe='')}" if site else f"why/{_q(name)}"
    found = session.client.call("GET", f"{ROOT}/{path}").body
    if printer.as_json:
        printer.json(found)
        return
    tables = ("errors", "transitions", "orders", "paths")
    flat = {k: v for k, v in found.items() if k not in tables and not isinstance(v, dict)}
    if "explanation" in flat:
        printer.line(str(flat.pop("explanation")))
    printer.value(flat)
    for name_, value in found.items():
        if isinstance(value, dict):
            printer.line("")
            printer.heading(name_)
            printer.value(value)
    for name_ in tables:
        if found.get(name_):
            printer.line("")
            printer.heading(name_)
            printer.rows(found[name_], _PATHS if name_ == "paths" else ())


_Address = Annotated[str, typer.Option(help="Id of the source address to speak from.")]
_Process = Annotated[str, typer.Option(help="Host that has to do it.")]


def trace(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="Where mail goes: a recipient's domain.")],
    address: _Address = "",
    process: _Process = "",
    host: Annotated[str, typer.Option(help="Only this mail exchanger.")] = "",
    recipient: Annotated[str, typer.Option(help="Ask whether this recipient is taken.")] = "",
    sender: Annotated[str, typer.Option(help="Return path; the null sender without it.")] = "",
    *,
    send_one: Annotated[
        bool, typer.Option("--send-one", help="Send the recipient a short message.")
    ] = False,
) -> None:
    """Have a host speak with a receiver, and show every line. Ends with 4 if it broke off."""
    if send_one and not recipient:
        raise UsageError("--send-one needs a --recipient")
    depth = "send" if send_one else "recipient" if recipient else "connect"
    asked = {
        "domain": domain, "depth": depth, "address": address, "process": process, "host": host,
        "recipient": recipient, "sender": sender,
    }  # fmt: skip
    _dialogue(session_of(ctx), asked)


def resolve(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="A recipient's domain.")],
    address: _Address = "",
    process: _Process = "",
    *,
    connect: Annotated[bool, typer.Option("--connect", help="Greet the first host too.")] = False,
) -> None:
    """Have a host look up where mail for a domain goes. Ends with 4 if nowhere."""
    depth = "connect" if connect else "resolve"
    asked = {"domain": domain, "depth": depth, "address": address, "process": process}
    _dialogue(session_of(ctx), asked)


def _dialogue(session: Session, asked: Mapping[str, str]) -> None:
    body = {name: value for name, value in asked.items() if value}
    found = session.client.call("POST", f"{ROOT}/traces", body=body).body
    for _ in range(_TRACE_TRIES):
        if found["state"] in _ENDED:
            break
        session.wait(_TRACE_EVERY)
        found = session.client.call("GET", f"{ROOT}/traces/{_q(found['id'])}").body
    if session.printer.as_json:
        session.printer.json(found)
    else:
        for line in found["lines"]:
            session.printer.line(f"{line['at']:8.3f} {line['who']} {line['text']}")
        session.printer.note(f"by {found['process'] or 'nobody'}: {found['state']}")
    if found["state"] != "done":
        raise UnfinishedError(found["error"] or f"it is still {found['state']}: {found['id']}")


def accounting(
    ctx: typer.Context,
    day: Annotated[str, typer.Argument(help="Day (UTC) of acceptance: YYYY-MM-DD.")],
    server: Annotated[str | None, typer.Option(help="Whose messages.")] = None,
    types: Annotated[str, typer.Option(help="d, b, t, tq, r, f; with commas.")] = "d,b",
    out: Annotated[Path | None, typer.Option(help="File to write to.")] = None,
) -> None:
    """Export accounting records in PowerMTA's CSV layout."""
    session = session_of(ctx)
    query = {"server": required(server, session, "server"), "day": day, "types": types}
    if out is None:
        _export(session, query, session.printer.value)
        return
    try:
        with out.open("xb") as file:
            _export(session, query, file.write)
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror}") from None
    session.printer.note(f"written to {out}")


def _export(session: Session, query: dict[str, str], write: Any) -> None:
    while True:
        answer = session.client.call("GET", f"{ROOT}/accounting", query=query)
        write(answer.body if isinstance(answer.body, bytes) else b"")
        query["cursor"] = answer.headers.get("x-next-cursor", "")
        if not query["cursor"]:
            return


def _q(text: str) -> str:
    return quote(text, safe="")
