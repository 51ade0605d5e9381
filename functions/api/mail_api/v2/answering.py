"""Write answers: values as their models say, refusals in the one shape there is."""

import json
from collections.abc import Mapping
from typing import Any

from chalice.app import Response
from pydantic import BaseModel

from mail_api.v2.operation import Answer, ApiError, Operation
from mail_api.wiring import Api
from mailroom.errors import (
    AlreadyExistsError,
    ConflictingJobError,
    ForbiddenError,
    HandOverError,
    InvitationError,
    LastOneError,
    MailroomError,
    NotFoundError,
    RevisionError,
    TooManyError,
)

JSON = "application/json"
# Statuses of a use case's refusals; the first class that fits decides. Others are 422.
_STATUS: Mapping[type[MailroomError], int] = {
    NotFoundError: 404,
    ForbiddenError: 403,
    AlreadyExistsError: 409,
    RevisionError: 412,
    TooManyError: 409,
    ConflictingJobError: 409,
    LastOneError: 409,
    InvitationError: 404,
}


def written(operation: Operation, given: Any, extra: Mapping[str, str], api: Api) -> Response:
    """Return the HTTP answer of what an operation gave.

    Raises ApiError 422 when it would not pass the gateway.
    """
    answer = given if isinstance(given, Answer) else Answer(given)
    status = answer.status or operation.status
    headers = {**extra, **answer.headers}
    if answer.revision is not None:
        headers["etag"] = f'"{answer.revision}"'
    body = _body(operation, answer, headers)
    if len(body) > api.max_answer:
        text = f"The answer would be larger than {api.max_answer} octets{api.elsewhere}"
        raise ApiError(422, "response_too_large", text)
    return Response(body, status_code=status, headers=_typed(headers))


def problem(error: ApiError, request_id: str, extra: Mapping[str, str]) -> Response:
    """Return the HTTP answer of a refusal."""
    body = {
        "error": {
            "code": error.code,
            "message": str(error),
            "fields": [dict(each) for each in error.fields],
            "request_id": request_id,
        }
    }
    headers = {**extra, **error.headers, "content-type": JSON}
    return Response(json.dumps(body), status_code=error.status, headers=_typed(headers))


def refusal_of(error: ApiError | MailroomError) -> ApiError:
    """Return a use case's refusal as the API's."""
    if isinstance(error, ApiError):
        return error
    fields: tuple[Mapping[str, str], ...] = ()
    if isinstance(error, AlreadyExistsError) and error.field:
        fields = ({"path": error.field, "message": str(error), "code": "taken"},)
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 422)
    return ApiError(status, error.code, str(error) or error.code, fields=fields)


def unavailable(error: HandOverError) -> ApiError:
    """Return the refusal for a queue that took nothing."""
    return ApiError(503, "unavailable", f"Ask again: {error}", headers={"retry-after": "2"})


def _body(operation: Operation, answer: Answer, headers: dict[str, str]) -> str | bytes:
    if answer.body is None:
        return ""
    if isinstance(answer.body, (str, bytes)):
        headers.setdefault("content-type", operation.gives)
        return answer.body
    headers["content-type"] = JSON
    value = answer.body
    if operation.answer is not None and not isinstance(value, operation.answer):
        value = operation.answer.model_validate(value, from_attributes=True)
    if isinstance(value, BaseModel):
        return value.model_dump_json(by_alias=True)
    return json.dumps(value, separators=(",", ":"))


def _typed(headers: Mapping[str, str]) -> dict[str, str | list[str]]:
    return dict(headers)
