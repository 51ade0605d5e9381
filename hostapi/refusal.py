"""What the server itself answers, without the app: in the app's own shape."""

import json
import logging

from aiohttp import web

log = logging.getLogger(__name__)

_MAX_LOGGED_PATH = 300
NAME = "mailroom"  # what the Server field says, and no version


class RefusedError(Exception):
    """A request that the app does not get to see. `retry_after` is seconds, 0 if there is no use.

    The connection ends behind it, since nobody knows where the next request would begin.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


def refusal(error: RefusedError, *, client: str, method: str = "", path: str = "") -> web.Response:
    """Return the answer, and write the request's one log line."""
    log.info(
        "http",
        extra={
            "method": method,
            "path": path[:_MAX_LOGGED_PATH],
            "status": error.status,
            "refused": str(error),
            "client": client,
        },
    )
    headers = {"Content-Type": "application/json", "Server": NAME}
    if error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    body = json.dumps({"Code": error.code, "Message": str(error)}).encode()
    answer = web.Response(status=error.status, body=body, headers=headers)
    answer.force_close()
    return answer


def too_large(limit: int) -> RefusedError:
    """Return the refusal of a body over `limit` octets."""
    return RefusedError(
        413, "RequestEntityTooLargeError", f"The body is larger than {limit} octets."
    )


def busy(retry_after: int) -> RefusedError:
    """Return the refusal of a request that there is no room for now."""
    return RefusedError(
        503, "ServiceUnavailableError", "The server is busy. Send it again later.", retry_after
    )
