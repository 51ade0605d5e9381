"""The table of operations as an OpenAPI 3.1 document."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from mail_api.v2.operation import ROOT, Operation

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"
_INTRODUCTION = """\
Send `Authorization: Bearer <key>`. Every refusal has a real HTTP status and one shape:
`{"error": {code, message, fields, request_id}}`. What belongs to others answers 404.
Writes take an `Idempotency-Key`, and updates an `If-Match` with the `ETag` that was read.
Lists are paged: pass `next_cursor` on as `cursor`. Times are Unix seconds.
"""
_ERRORS = {
    400: "The request is malformed",
    401: "The key is missing, unknown, expired or not for this address",
    403: "The key may see this but not do it",
    404: "There is nothing with that id, or none that this key may know of",
    409: "It clashes with what is there",
    412: "It has changed since it was read",
    413: "The body is too large",
    415: "The content type is another",
    422: "Fields cannot be used; `fields` names them",
    429: "Too many requests; Retry-After says when to ask again",
    503: "Ask again; Retry-After says when",
}

_OF_KEYS = (401, 403)  # what only a key can bring about


def describe(operations: Sequence[Operation]) -> Json:
    """Return the document, JSON-ready."""
    references, schemas = _schemas(operations)
    paths: dict[str, Json] = {}
    for each in operations:
        paths.setdefault(each.full_path, {})[each.method.lower()] = _operation(each, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mailroom",
            "version": "2",
            "description": _INTRODUCTION,
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "fields", "request_id"],
            "additionalProperties": False,
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "request_id": {"type": "string"},
                "fields": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["path", "message", "code"],
                        "additionalProperties": False,
                        "properties": {
                            "path": {"type": "string"},
                            "message": {"type": "string"},
                            "code": {"type": "string"},
                        },
                    },
                },
            },
        }
    },
}

References = Mapping[tuple[Any, Any], Json]


def _schemas(operations: Sequence[Operation]) -> tuple[References, Json]:
    wanted: dict[tuple[type[BaseModel], Any], None] = {}
    for each in operations:
        if each.body is not None:
            wanted[each.body, "validation"] = None
        if each.answer is not None:
            wanted[each.answer, "serialization"] = None
    references, document = models_json_schema(list(wanted), ref_template=_REF)
    return references, document.get("$defs", {})


def _operation(each: Operation, references: References) -> Json:
    tag = each.id.partition(".")[0]
    found: Json = {
        "operationId": each.id,
        "tags": [tag],
        "summary": each.summary,
        "description": _description(each),
        "parameters": [*_path(each), *_query(each), *_headers(each)],
        "responses": _responses(each, references),
    }
    if each.public:
        found["security"] = []
    if each.scope is not None:
        found["x-scope"] = str(each.scope)
    if each.body is not None:
        found["requestBody"] = {
            "required": any(f.is_required() for f in each.body.model_fields.values()),
            "content": {"application/json": {"schema": references[each.body, "validation"]}},
        }
    elif each.takes != "application/json":
        found["requestBody"] = {
            "required": True,
            "content": {each.takes: {"schema": {"type": "string"}}},
        }
    return found


def _description(each: Operation) -> str:
    about = each.description or _sentence(each.call)
    needs = f"Needs the scope `{each.scope}`." if each.scope else ""
    return " ".join(part for part in (about, needs) if part)


def _sentence(call: Any) -> str:
    return re.sub(r"\s+", " ", getattr(call, "__doc__", None) or "").strip() if (
        hasattr(call, "__name__")
    ) else ""  # fmt: skip


def _path(each: Operation) -> Iterable[Json]:
    for name in each.parameters:
        schema = {"type": "string", "minLength": 1, "maxLength": 320}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query(each: Operation) -> Iterable[Json]:
    if each.query is None:
        return
    schema = each.query.model_json_schema(ref_template=_REF)
    definitions = schema.get("$defs", {})
    for name, given in schema["properties"].items():
        inner = _inlined(given, definitions)
        about = inner.pop("description", None)
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": inner,
            **({"description": about} if about else {}),
        }


def _inlined(schema: Any, definitions: Json) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
        return {name: _inlined(value, definitions) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(value, definitions) for value in schema]
    return schema


def _headers(each: Operation) -> Iterable[Json]:
    if each.writes:
        about = "The same key and request give the same answer, for 24 hours"
        yield _header("Idempotency-Key", about, 255)
    if each.method in ("PATCH", "DELETE"):
        yield _header("If-Match", "The ETag that was read; 412 if it has changed since", 64)


def _header(name: str, about: str, most: int) -> Json:
    # Printable ASCII; header fields bear nothing else.
    schema = {"type": "string", "minLength": 1, "maxLength": most, "pattern": "^[!-~]+$"}
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": about}


def _responses(each: Operation, references: References) -> Json:
    found: Json = {str(each.status): _success(each, references)}
    for status, about in _ERRORS.items():
        if each.public and (not each.writes or status in _OF_KEYS):
            continue
        found[str(status)] = {
            "description": about,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    return found


def _success(each: Operation, references: References) -> Json:
    if each.answer is not None:
        schema = references[each.answer, "serialization"]
        content = {"application/json": {"schema": schema}}
    elif each.status == 204:
        return {"description": "Done"}
    else:
        kind = each.gives.partition(";")[0]
        content = {kind: {"schema": {"type": "string"} if kind != "application/json" else {}}}
    return {"description": each.summary, "content": content}


__all__ = ["ROOT", "describe"]
