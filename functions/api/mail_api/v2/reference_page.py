"""The OpenAPI document as one readable page: no script, nothing from elsewhere."""

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

Json = Mapping[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:16px/1.55 system-ui,sans-serif;margin:0;display:grid;grid-template-columns:16rem 1fr}
nav{padding:1rem;border-right:1px solid var(--line);position:sticky;top:0;height:100vh;
overflow:hidden auto;box-sizing:border-box;font-size:14px}
nav a{display:block;text-decoration:none;padding:.1rem 0}
nav h2{font-size:14px;margin:1rem 0 .2rem}
main{padding:1rem 2rem;max-width:60rem;min-width:0}
section{border-top:1px solid var(--line);padding:.5rem 0 1rem}
code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:var(--soft);padding:.7rem;overflow:auto}
table{border-collapse:collapse;width:100%;font-size:15px}
td,th{border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0;text-align:left;
vertical-align:top}
.method{font-weight:700;text-transform:uppercase}
@media(max-width:50rem){body{display:block}nav{position:static;height:auto}}
"""


def render(document: Json) -> str:
    """Return the page as HTML."""
    groups: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                groups.setdefault(operation["tags"][0], []).append((method, path, operation))
    schemas = document["components"]["schemas"]
    body = "".join(_group(tag, entries, schemas) for tag, entries in sorted(groups.items()))
    body += _schemas(schemas)
    title = escape(document["info"]["title"])
    about = "".join(
        f"<p>{_prose(line)}</p>" for line in document["info"]["description"].split("\n\n")
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} API</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<style>{_STYLE}</style></head><body><nav aria-label="Operations">{_menu(groups)}</nav>'
        f"<main><h1>{title} API</h1>{about}{body}</main></body></html>"
    )


def _menu(groups: Mapping[str, list[tuple[str, str, Json]]]) -> str:
    return "".join(
        f"<h2>{escape(tag)}</h2>"
        + "".join(
            f'<a href="#{escape(operation["operationId"])}">{escape(operation["summary"])}</a>'
            for _, _, operation in entries
        )
        for tag, entries in sorted(groups.items())
    )


def _group(tag: str, entries: Iterable[tuple[str, str, Json]], schemas: Json) -> str:
    inner = "".join(_operation(*entry, schemas) for entry in entries)
    return f"<h2>{escape(tag)}</h2>{inner}"


def _operation(method: str, path: str, operation: Json, schemas: Json) -> str:
    return (
        f'<section id="{escape(operation["operationId"])}"><h3>{escape(operation["summary"])}</h3>'
        f'<p><span class="method">{method}</span> <code>{escape(path)}</code></p>'
        f"<p>{_prose(operation['description'])}</p>"
        f"{_parameters(operation['parameters'])}{_request(operation, schemas)}"
        f"{_answer(operation, schemas)}</section>"
    )


def _parameters(parameters: Iterable[Json]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{escape(each.get('description', ''))}</td></tr>"
        for each in parameters
        if each["in"] != "header"
    )
    head = "<tr><th>Parameter</th><th>In</th><th>Meaning</th></tr>"
    return f"<table>{head}{rows}</table>" if rows else ""


def _request(operation: Json, schemas: Json) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return "".join(f"<p>Body: <code>{escape(kind)}</code></p>" for kind in content)
    return "<h4>Body</h4>" + _fields(content["application/json"]["schema"], schemas)


def _answer(operation: Json, schemas: Json) -> str:
    status, answer = next(iter(operation["responses"].items()))
    content = answer.get("content", {}).get("application/json")
    head = f"<h4>Answer {escape(status)}</h4>"
    return head + (_fields(content["schema"], schemas) if content and content["schema"] else "")


def _fields(schema: Json, schemas: Json) -> str:
    found = _resolved(schema, schemas)
    required = set(found.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' *' if name in required else ''}</td>"
        f"<td>{_kind(each, schemas)}</td>"
        f"<td>{_prose(each.get('description', ''))}</td></tr>"
        for name, each in found.get("properties", {}).items()
    )
    head = "<tr><th>Field</th><th>Type</th><th>Meaning</th></tr>"
    return f"<table>{head}{rows}</table>" if rows else f"<pre>{escape(json.dumps(found))}</pre>"


def _schemas(schemas: Json) -> str:
    """Return the fields of every schema that others name, below all operations."""
    inner = "".join(
        f'<section id="schema-{escape(name)}"><h3>{escape(name)}</h3>'
        f"<p>{_prose(schema.get('description', ''))}</p>{_fields(schema, schemas)}</section>"
        for name, schema in sorted(schemas.items())
        if "properties" in schema
    )
    return f"<h2>schemas</h2>{inner}"


def _prose(text: str) -> str:
    """Return text as HTML, with what stands between backquotes as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _kind(schema: Json, schemas: Json) -> str:
    """Return a type as HTML."""
    if "$ref" in schema:
        name, found = schema["$ref"].rsplit("/", 1)[-1], _resolved(schema, schemas)
        if "enum" in found:
            return escape(" or ".join(map(str, found["enum"])))
        return f'<a href="#schema-{escape(name)}">{escape(str(found.get("title", name)))}</a>'
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(each, schemas) for each in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), schemas)}"
    limits = [f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema]
    return escape(" ".join([str(schema.get("type", "any")), *limits]))


_LIMITS = {
    "minLength": "from", "maxLength": "to", "minimum": "from", "maximum": "to", "pattern": "like",
}  # fmt: skip


def _resolved(schema: Json, schemas: Json) -> Json:
    if "$ref" in schema:
        found: Json = schemas[schema["$ref"].rsplit("/", 1)[-1]]
        return found
    return schema
