"""aiohttp's HTTP server with our limits, and with our answers to what is no request."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from hostapi.limits import HttpLimits
from hostapi.refusal import RefusedError, refusal

_TOO_MANY = "Too many headers"  # how the library's parser says it


class Connection(RequestHandler):
    """One connection. Errors are logged in one line and answered in JSON."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what the parser could not read, or what broke while answering."""
        if status != 400:
            self.logger.error("request failed", exc_info=exc)
            error = RefusedError(500, "InternalServerError", "An internal server error occurred.")
        else:
            error = _malformed(exc, message or "", self.max_field_size)
        if request.writer.output_size > 0:
            raise ConnectionResetError("an answer is out already")
        return refusal(error, client=request.remote or "")


class HttpServer(web.Server):
    """Makes a `Connection` for each client."""

    def __init__(self, handler: Any, limits: HttpLimits) -> None:
        super().__init__(handler)
        self._farewells: dict[RequestHandler, Callable[[], None]] = {}
        self._options: dict[str, Any] = {
            "keepalive_timeout": limits.idle_time,
            "lingering_time": limits.linger_time,
            "max_line_size": limits.request_line,
            "max_field_size": limits.header_field,
            "max_headers": limits.header_fields,
            "access_log": None,
            # The app refuses compressed bodies: a small one can unpack to any size.
            "auto_decompress": False,
        }

    def __call__(self) -> RequestHandler:
        """Return a new connection."""
        return Connection(self, loop=self._loop, **self._options)

    def when_lost(self, connection: RequestHandler, call: Callable[[], None]) -> None:
        """Call `call` once when `connection` is over."""
        if connection.transport is None:
            call()
        else:
            self._farewells[connection] = call

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Note the end of a connection."""
        super().connection_lost(handler, exc)
        farewell = self._farewells.pop(handler, None)
        if farewell is not None:
            farewell()


def _malformed(problem: BaseException | None, message: str, header_field: int) -> RefusedError:
    code = "RequestHeaderFieldsTooLargeError"
    if isinstance(problem, LineTooLong):
        if problem.args[1] == header_field:
            return RefusedError(431, code, f"A header field is over {header_field} octets.")
        return RefusedError(414, "UriTooLongError", "The request line is too long.")
    if message.startswith(_TOO_MANY):
        return RefusedError(431, code, "There are too many header fields.")
    return RefusedError(400, "BadRequestError", "This is no HTTP request.")
