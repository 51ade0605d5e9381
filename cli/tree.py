"""Commands made from the API's own description: `mailroom GROUP NAME`, one for each operation.

Whatever the API learns, the tool can do without a new release. Options are the fields of query
and body; what an operation is about is its argument.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.bodies import body_of, read_json
from cli.client import WRITES, items_of, next_cursor
from cli.errors import UsageError
from cli.openapi import Kind, Operation, Parameter
from cli.profile import DEFAULTS
from cli.session import Session, required, session_of

_TYPES: Mapping[Kind, Any] = {
    Kind.TEXT: str | None,
    Kind.INTEGER: int | None,
    Kind.NUMBER: float | None,
    Kind.TRUTH: bool | None,
    Kind.LIST: list[str] | None,
    Kind.JSON: str | None,
}
_OWN = frozenset({"data", "set", "all", "yes", "help"})  # names that no field may have
_PAGE = 200  # rows that are printed as one table with --all


def add_operations(
    app: typer.Typer, groups: Mapping[str, typer.Typer], operations: Sequence[Operation]
) -> None:
    """Add a command for each operation; a command that is there already stays as it is.

    `groups` are those that are there, by their words.
    """
    made = dict(groups)
    for operation in operations:
        *within, name = operation.name.split(" ")
        group = _group(app, made, (operation.group, *within))
        if name not in {command.name for command in group.registered_commands}:
            group.command(name, help=operation.summary)(command_of(operation))


def _group(app: typer.Typer, made: dict[str, typer.Typer], words: tuple[str, ...]) -> typer.Typer:
    """Return the group of these words, made with those around it if it is not there."""
    if not words:
        return app
    path = " ".join(words)
    if path not in made:
        made[path] = typer.Typer(no_args_is_help=True)
        around = _group(app, made, words[:-1])
        around.add_typer(made[path], name=words[-1], help=f"Calls of {path}.")
    return made[path]


@dataclass(frozen=True, slots=True)
class _Given:
    """One option or argument: the parameter it stands for, if it is one of the API's."""

    name: str
    annotation: Any
    parameter: Parameter | None = None
    is_argument: bool = False


def command_of(operation: Operation) -> Callable[..., None]:
    """Return a function with the signature typer reads the options of an operation from."""
    given = [*_api_options(operation), *_own_options(operation)]
    names = {f"p{place}": each for place, each in enumerate(given)}

    def command(ctx: typer.Context, **values: Any) -> None:
        said = {each.name: values[name] for name, each in names.items()}
        parameters = {each.name: each.parameter for each in given if each.parameter}
        run(operation, parameters, said, session_of(ctx))

    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=each.annotation,
            default=inspect.Parameter.empty if each.is_argument else None,
        )
        for name, each in names.items()
    ]
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    command.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {p.name: p.annotation for p in (context, *parameters)}
    return command


def _api_options(operation: Operation) -> list[_Given]:
    found, taken = [], set(_OWN)
    for parameter in operation.parameters:
        option = parameter.name.replace("_", "-").lower()
        if option in taken or option == "authorization":
            continue  # a field of that name is reached by --set
        taken.add(option)
        is_owner = parameter.name in DEFAULTS and parameter.name != operation.subject
        if parameter.place == "path" and not is_owner:
            meaning = parameter.meaning or f"Which {parameter.name}."
            argument = typer.Argument(metavar=parameter.name.upper(), help=meaning)
            found.append(_Given(option, Annotated[str, argument], parameter, is_argument=True))
            continue
        name = f"--{option}/--no-{option}" if parameter.kind is Kind.TRUTH else f"--{option}"
        help_ = typer.Option(name, help=_help(parameter), show_default=False)
        found.append(_Given(option, Annotated[_TYPES[parameter.kind], help_], parameter))
    return found


def _own_options(operation: Operation) -> list[_Given]:
    found = []
    if operation.has_body:
        data = typer.Option("--data", help="The whole body: JSON, @FILE, or - for standard input.")
        settings = typer.Option("--set", help="One field: name=value or outer.inner=value.")
        found.append(_Given("data", Annotated[str | None, data]))
        found.append(_Given("set", Annotated[list[str] | None, settings]))
    if operation.is_list:
        all_ = typer.Option("--all", help="All pages; with --json one object a line.")
        found.append(_Given("all", Annotated[bool | None, all_]))
    if operation.method == "DELETE":
        yes = typer.Option("--yes", help="Do not ask.")
        found.append(_Given("yes", Annotated[bool | None, yes]))
    return found


def _help(parameter: Parameter) -> str:
    parts = [parameter.meaning.strip()]
    if parameter.choices:
        parts.append(f"[{'|'.join(parameter.choices)}]")
    if parameter.kind is Kind.JSON:
        parts.append("JSON or @FILE.")
    if parameter.is_required and parameter.place != "path":
        parts.append("Needed.")
    return " ".join(part for part in parts if part)


def run(
    operation: Operation,
    parameters: Mapping[str, Parameter],
    said: Mapping[str, Any],
    session: Session,
) -> None:
    """Make the call that a command line says, and print its answer."""
    path, query, headers = operation.path, {}, {}
    fields: dict[str, Any] = {}
    for option, parameter in parameters.items():
        value = said[option]
        if parameter.kind is Kind.JSON and value is not None:
            value = read_json(value)
        if parameter.place == "path":
            text = quote(required(value, session, parameter.name), safe="")
            path = path.replace(f"{{{parameter.name}}}", text)
        elif parameter.place == "query":
            query[parameter.name] = value
        elif parameter.place == "body":
            fields[parameter.name] = value
        elif value is not None:
            headers[parameter.name] = str(value)
    if operation.method == "DELETE":
        _confirm(path, yes=bool(said["yes"]))
    if operation.is_list:
        _print_list(path, query, session, all_pages=bool(said["all"]))
        return
    body = body_of(said["data"], fields, said["set"] or ()) if operation.has_body else None
    answer = session.client.call(operation.method, path, query=query, body=body, headers=headers)
    session.printer.value(answer.body)
    if operation.method in WRITES and answer.body is None:
        session.printer.note("done")


def _confirm(path: str, *, yes: bool) -> None:
    if not yes and not typer.confirm(f"Delete {path}?", err=True):
        raise UsageError("nothing was deleted")


def _print_list(path: str, query: Mapping[str, Any], session: Session, *, all_pages: bool) -> None:
    printer = session.printer
    if all_pages:
        _print_all(path, query, session)
        return
    page = session.client.call("GET", path, query=query).body
    if printer.as_json:
        printer.json(page)
        return
    printer.rows(items_of(page))
    if next_cursor(page):
        printer.note(f"more: --cursor {next_cursor(page)}, or --all")


def _print_all(path: str, query: Mapping[str, Any], session: Session) -> None:
    printer, waiting = session.printer, []
    for item in session.client.items(path, query=query):
        if printer.as_json:
            printer.json_line(item)
            continue
        waiting.append(item)
        if len(waiting) == _PAGE:
            printer.rows(waiting)
            waiting.clear()
    printer.rows(waiting)
