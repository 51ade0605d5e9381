"""The API's description (OpenAPI 3.1) as the values that commands are made from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from cli.errors import UsageError

Json = Mapping[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")
_MAX_DEPTH = 20  # references that lead to references


class Kind(StrEnum):
    """What a parameter takes."""

    TEXT = "string"
    INTEGER = "integer"
    NUMBER = "number"
    TRUTH = "boolean"
    LIST = "array"  # of texts or numbers
    JSON = "object"  # anything deeper


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing a call takes: in its path, its query, a header, or a field of its body."""

    name: str
    place: str  # path, query, header or body
    kind: Kind
    is_required: bool = False
    meaning: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API: `group` and `name` are the words of its command.

    A `name` of several words is a command of groups within the group: `egress orders list`.
    """

    group: str
    name: str
    method: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    has_body: bool
    is_list: bool

    def of(self, place: str) -> Iterator[Parameter]:
        """Yield the parameters in one place."""
        return (each for each in self.parameters if each.place == place)

    @property
    def subject(self) -> str:
        """The path parameter that names what the call is about, or "".

        `/servers/{server}/domains/{domain}/check` of the group `domains` is about `domain`.
        """
        segments = self.path.strip("/").split("/")
        for before, segment in pairwise(segments):
            if segment.startswith("{") and before.replace("-", "_") == self.group.replace("-", "_"):
                return segment[1:-1]
        return ""


def read_operations(document: Json) -> list[Operation]:
    """Return the operations whose id has the form `group.name`.

    Raises UsageError for what is no OpenAPI document.
    """
    paths = document.get("paths")
    if not str(document.get("openapi", "")).startswith("3.") or not isinstance(paths, Mapping):
        raise UsageError("the API's description is no OpenAPI 3 document")
    found = []
    for path, item in paths.items():
        for method in _METHODS:
            described = item.get(method)
            if described and "." in described.get("operationId", ""):
                found.append(_operation(document, path, method, item, described))
    return found


def _operation(document: Json, path: str, method: str, item: Json, described: Json) -> Operation:
    group, _, name = described["operationId"].partition(".")
    listed = [*item.get("parameters", ()), *described.get("parameters", ())]
    parameters = [_parameter(document, _resolved(document, each)) for each in listed]
    body = _body_schema(document, described)
    parameters += _fields(document, body) if body else []
    return Operation(
        group=group.replace("_", "-"),
        name=name.replace(".", " ").replace("_", "-"),
        method=method.upper(),
        path=path,
        summary=str(described.get("summary") or described.get("description") or ""),
        parameters=tuple(parameters),
        has_body=body is not None,
        is_list=method == "get" and any(each.name == "cursor" for each in parameters),
    )


def _parameter(document: Json, given: Json) -> Parameter:
    schema = _resolved(document, given.get("schema", {}))
    return Parameter(
        name=given["name"],
        place=given["in"],
        kind=_kind(document, schema),
        is_required=bool(given.get("required")),
        meaning=str(given.get("description") or schema.get("description") or ""),
        choices=_choices(schema),
    )


def _body_schema(document: Json, described: Json) -> Json | None:
    content = _resolved(document, described.get("requestBody", {})).get("content", {})
    for media, given in content.items():
        if "json" in media:
            return _resolved(document, given.get("schema", {}))
    return None


def _fields(document: Json, schema: Json) -> list[Parameter]:
    required = set(schema.get("required", ()))
    return [
        Parameter(
            name=name,
            place="body",
            kind=_kind(document, simple := _simple(document, given)),
            is_required=name in required,
            meaning=str(given.get("description") or simple.get("description") or ""),
            choices=_choices(simple),
        )
        for name, given in schema.get("properties", {}).items()
    ]


def _simple(document: Json, schema: Json) -> Json:
    """Return the one shape of `T | None`, or the schema itself."""
    schema = _resolved(document, schema)
    choices = [_resolved(document, each) for each in schema.get("anyOf", schema.get("oneOf", ()))]
    real = [each for each in choices if each.get("type") != "null"]
    return real[0] if len(real) == 1 else schema


def _kind(document: Json, schema: Json) -> Kind:
    schema = _simple(document, schema)
    type_ = schema.get("type")
    if isinstance(type_, list):
        type_ = next((each for each in type_ if each != "null"), None)
    if type_ == "array":
        inner = _kind(document, schema.get("items", {}))
        return Kind.JSON if inner in (Kind.JSON, Kind.LIST) else Kind.LIST
    if type_ is None and ("enum" in schema or "const" in schema):
        return Kind.TEXT
    try:
        return Kind(str(type_))
    except ValueError:
        return Kind.JSON


def _choices(schema: Json) -> tuple[str, ...]:
    return tuple(str(each) for each in schema.get("enum", ()) if each is not None)


def _resolved(document: Json, schema: Json) -> Json:
    """Follow references within the document. Raises UsageError for one that leads nowhere."""
    for _ in range(_MAX_DEPTH):
        reference = schema.get("$ref")
        if reference is None:
            return schema
        found: Any = document
        for part in str(reference).removeprefix("#/").split("/"):
            found = found.get(part.replace("~1", "/").replace("~0", "~"), {})
        schema = found
    raise UsageError("the API's description refers to itself without end")
