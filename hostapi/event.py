"""From a request to the event that an HTTP API would have sent a function (payload format 2.0)."""

from typing import Any

from aiohttp.web import BaseRequest

from hostapi.body import ReceivedBody

Json = dict[str, Any]


def event_of(request: BaseRequest, body: ReceivedBody, *, client: str, request_id: str) -> Json:
    """Return the event. Its body is no text, see `chalice_http.HeldBody`; None if there is none."""
    path, headers = request.rel_url.raw_path, _headers(request)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.rel_url.raw_query_string,
        "headers": headers,
        "requestContext": {
            "requestId": request_id,
            "domainName": headers.get("host", ""),
            "http": {
                "method": request.method,
                "path": path,
                "sourceIp": client,
                "userAgent": headers.get("user-agent", ""),
            },
        },
        "body": body if body.octets else None,
        "isBase64Encoded": False,
    }


def _headers(request: BaseRequest) -> dict[str, str]:
    """Join fields of one name: cookies with semicolons (RFC 6265), others with commas."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        lower, text = name.lower(), value.encode("utf-8", "replace").decode()
        joint = "; " if lower == "cookie" else ","
        found[lower] = f"{found[lower]}{joint}{text}" if lower in found else text
    return found
