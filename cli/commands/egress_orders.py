"""Orders from the command line: `orders add VERB ...`, and each verb as a command of its own."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from cli.errors import UsageError
from cli.session import session_of

PATH = "/api/v2/egress/orders"
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd]?)\Z")

_TEXT = str | None
_SELECTOR: Mapping[str, tuple[Any, str]] = {
    "tenant": (_TEXT, "Mail of this server."),
    "organisation": (_TEXT, "Mail of this organisation."),
    "campaign": (_TEXT, "Mail with this tag."),
    "lane": (_TEXT, "transactional or bulk."),
    "pool": (_TEXT, "Mail that goes out through this pool; its paths."),
    "address": (_TEXT, "Mail from this source address; its paths."),
    "provider": (_TEXT, "Mail to this provider; its paths."),
    "site": (_TEXT, "Mail to this site; its paths."),
    "domain": (_TEXT, "Mail to this domain."),
    "recipient": (_TEXT, "Mail to this address."),
    "delivery": (_TEXT, "One delivery: SERVER.NUMBER.INDEX."),
    "older-than": (_TEXT, "Accepted so long ago: 90s, 10m, 2h, 1d."),
}
_ARGUMENTS: Mapping[str, tuple[Any, str]] = {
    "to-pool": (_TEXT, "Pool that sends it instead."),
    "rate": (_TEXT, "Such as 100/min: all that is selected shares it on each host."),
    "level": (int | None, "From -10 to 10; higher goes first."),
    "process": (_TEXT, "The host's process."),
    "quiet": (bool | None, "No message to the sender."),
}
_FIELDS = {"to-pool": "pool", "level": "priority"}
_PATH_PARTS = ("pool", "address", "provider", "site")

# What each verb takes besides its selector, which parts that has, and what it does.
_VERBS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "pause": ((), tuple(_SELECTOR), "Send nothing of it for a time."),
    "suspend": ((), _PATH_PARTS, "Suspend paths; they probe afterwards."),
    "disable-address": ((), _PATH_PARTS, "Let an address send nothing, or not to a provider."),
    "bounce": (("quiet",), tuple(_SELECTOR), "Fail it, with bounce messages."),
    "drop": ((), tuple(_SELECTOR), "End it without telling its sender."),
    "hold": ((), tuple(_SELECTOR), "Put it aside until it is released."),
    "release": ((), tuple(_SELECTOR), "Let older pauses and holds not count for it."),
    "retry-now": ((), tuple(_SELECTOR), "Try at once what waits on a host."),
    "reroute": (("to-pool",), tuple(_SELECTOR), "Send it through another pool."),
    "throttle": (("rate",), tuple(_SELECTOR), "Hold it to a rate."),
    "priority": (("level",), tuple(_SELECTOR), "Let it go before or after other mail."),
    "normal": ((), _PATH_PARTS, "Let paths forget their trouble."),
    "backoff": ((), _PATH_PARTS, "Put paths into backoff."),
    "drain-host": (("process",), (), "Let a host finish and take nothing new."),
    "trace-mail": ((), tuple(_SELECTOR), "Write each attempt of this mail into the hosts' logs."),
}
_NAMES = {"trace-mail": "trace"}  # `trace` is a dialogue of its own


def verbs() -> dict[str, Callable[..., None]]:
    """Return a command for each verb."""
    return {name: _command(name) for name in _VERBS}


def about(name: str) -> str:
    """Return what the command of a verb does."""
    return _VERBS[name][2]


def add() -> Callable[..., None]:
    """Return the command that takes the verb as its argument."""
    verb = typer.Argument(metavar="VERB", help=", ".join(_NAMES.get(n, n) for n in _VERBS))
    first = _parameter("verb", Annotated[str, verb], inspect.Parameter.empty)
    return _made([first, *_options(tuple(_ARGUMENTS), tuple(_SELECTOR))], "")


def seconds(text: str) -> float:
    """Return the seconds that `90s`, `10m`, `2h`, `1d` or a number says. Raises UsageError."""
    found = _DURATION.match(text.strip().lower())
    if not found:
        raise UsageError(f"{text!r} is no time: write 90s, 10m, 2h or 1d")
    return float(found[1]) * _UNITS.get(found[2], 1)


def body_of(verb: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the call that gives an order."""
    given = {name: value for name, value in said.items() if value not in (None, False)}
    selector = {n.replace("-", "_"): given[n] for n in _SELECTOR if n in given}
    if "older_than" in selector:
        selector["older_than"] = seconds(selector["older_than"])
    arguments = {_FIELDS.get(n, n): given[n] for n in _ARGUMENTS if n in given}
    body = {"verb": verb, "reason": given["reason"], "selector": selector, "arguments": arguments}
    if "for" in given:
        body["seconds"] = seconds(given["for"])
    if "all-mail" in given:
        body["confirm"] = True
    return body


def _command(name: str) -> Callable[..., None]:
    arguments, selector, _ = _VERBS[name]
    return _made(_options(arguments, selector), _NAMES.get(name, name))


def _made(parameters: list[inspect.Parameter], verb: str) -> Callable[..., None]:
    """Return a function with the signature that typer reads the options from."""
    names = [each.name for each in parameters]

    def command(ctx: typer.Context, **values: Any) -> None:
        said = {name.rstrip("_").replace("_", "-"): values[name] for name in names}
        session = session_of(ctx)
        body = body_of(verb or str(said["verb"]), said)
        answer = session.client.call("POST", PATH, body=body).body
        session.printer.value(answer)
        session.printer.note(f"take it back: mailroom egress orders cancel {answer['id']}")

    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    command.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {p.name: p.annotation for p in (context, *parameters)}
    return command


def _options(arguments: tuple[str, ...], selector: tuple[str, ...]) -> list[inspect.Parameter]:
    reason = typer.Option("--reason", help="Why: it is kept in the audit log.")
    lasts = typer.Option("--for", help="How long: 90s, 10m, 2h, 1d.")
    found = [
        _parameter("reason", Annotated[str, reason], inspect.Parameter.empty),
        _parameter("for_", Annotated[_TEXT, lasts]),
    ]
    for name, (type_, help_) in {**_SELECTOR, **_ARGUMENTS}.items():
        if name in arguments or name in selector:
            given = typer.Option(f"--{name}", help=help_)
            option: Any = Annotated[type_, given]
            found.append(_parameter(name.replace("-", "_"), option))
    if len(selector) == len(_SELECTOR):
        every = typer.Option("--all-mail", help="Without a selector: yes, all mail there is.")
        found.append(_parameter("all_mail", Annotated[bool | None, every]))
    return found


def _parameter(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )
