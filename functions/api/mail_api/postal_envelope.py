"""Postal's answer to everything: HTTP 200 and one JSON envelope."""

from typing import Any

Json = dict[str, Any]


class PostalError(Exception):
    """An `error` answer. `code` is Postal's name; `message` and `extra` become its fields."""

    def __init__(self, code: str, message: str | None = None, **extra: Any) -> None:
        super().__init__(message or code)
        self.code = code
        self.message = message
        self.extra = extra


class ParameterError(Exception):
    """A `parameter-error` answer: the request itself is malformed."""


def success(content: Any, seconds: float) -> Json:
    """Return the envelope of a call that worked; `content` becomes its `data`."""
    return _envelope("success", content, seconds)


def failure(error: PostalError | ParameterError, seconds: float) -> Json:
    """Return the envelope of a refused call."""
    if isinstance(error, ParameterError):
        return _envelope("parameter-error", {"message": str(error)}, seconds)
    message = {} if error.message is None else {"message": error.message}
    return _envelope("error", {"code": error.code, **message, **error.extra}, seconds)


def _envelope(status: str, content: Any, seconds: float) -> Json:
    # Typed clients insist on a float for `time` and an object for `flags`.
    return {"status": status, "time": round(float(seconds), 3), "flags": {}, "data": content}
