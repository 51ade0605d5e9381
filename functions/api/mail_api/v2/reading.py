"""Read the body and the query of a request against an operation's schemas."""

from collections.abc import Iterable, Mapping
from typing import Any

from chalice.app import Request
from pydantic import BaseModel, ValidationError

from mail_api.v2.operation import ApiError, Operation
from mailroom.adapters.chalice_http import BodyTooLargeError
from mailroom.adapters.chalice_http import read_body as octets_of

_MAX_PROBLEMS = 25
_MAX_TEXT = 300


def read_body(operation: Operation, request: Request) -> tuple[bytes, Any]:
    """Return the octets of a body, and the model they say if the operation has one.

    Raises ApiError: 413 for too long a body, 415 for another content type or a coding, 400 for
    what is no JSON, 422 for fields that cannot be used.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise ApiError(415, "unsupported_coding", "Send the body without Content-Encoding")
    try:
        raw = octets_of(request, operation.max_body)
    except BodyTooLargeError as error:
        raise ApiError(413, "body_too_large", str(error)) from error
    if operation.takes != "application/json":
        return raw, None
    if operation.body is None:
        return raw, None
    _require_json(request, raw)
    return raw, _model(operation.body, raw)


def read_query(operation: Operation, query: Mapping[str, str] | None) -> Any:
    """Return the query string as the operation's model. Raises ApiError 422."""
    given = dict(query or {})
    if operation.query is None:
        if given:
            raise _unfit(
                [
                    {"path": f"query.{name}", "message": "There is no such parameter",
                     "code": "extra_forbidden"}
                    for name in list(given)[:_MAX_PROBLEMS]
                ]
            )  # fmt: skip
        return None
    try:
        return operation.query.model_validate(given)
    except ValidationError as error:
        raise _unfit(_problems(error, "query.")) from error


def _require_json(request: Request, raw: bytes) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if raw and kind not in ("application/json", ""):
        raise ApiError(415, "unsupported_media_type", "Send application/json")


def _model(model: type[BaseModel], raw: bytes) -> BaseModel:
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        if any(each["type"] == "json_invalid" for each in error.errors(include_url=False)):
            raise ApiError(400, "invalid_json", "The body is not JSON") from error
        raise _unfit(_problems(error, "")) from error


def _problems(error: ValidationError, prefix: str) -> Iterable[dict[str, str]]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    for each in found[:_MAX_PROBLEMS]:
        path = ".".join(map(str, each["loc"]))[:_MAX_TEXT]
        yield {
            "path": prefix + path,
            "message": each["msg"].removeprefix("Value error, ")[:_MAX_TEXT],
            "code": each["type"],
        }


def _unfit(problems: Iterable[dict[str, str]]) -> ApiError:
    return ApiError(
        422,
        "validation_failed",
        "The request has fields that cannot be used",
        fields=tuple(problems),
    )
