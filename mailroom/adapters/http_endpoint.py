"""The Endpoint port on http.client: one POST to a tenant's server, and never anywhere else."""

import base64
import http.client
import ssl
from collections.abc import Sequence

from mailroom.adapters.guarded_http import TIMEOUT, GuardedHttp, Resolve, resolve
from mailroom.domain.webhook_target import Target, UnfitTargetError, parse_target
from mailroom.ports import Answer

MAX_ANSWER = 4_096  # octets of the answer that are kept
_MAX_HEADER = 64


class HttpEndpoint:
    """POSTs to public addresses, and to private ones inside `networks` (CIDR)."""

    def __init__(
        self,
        networks: Sequence[str] = (),
        *,
        timeout: float = TIMEOUT,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._http = GuardedHttp(networks, timeout=timeout, resolve=resolve, tls=tls)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """See Endpoint.post. A redirect is an answer like any other; it is not followed."""
        try:
            target = parse_target(url)
            answered = self._http.call("POST", target, {**_authorization(target), **headers}, body)
        except UnfitTargetError as error:
            return Answer(0, problem=str(error))
        except (TimeoutError, ssl.SSLError, OSError) as error:
            return Answer(0, problem=_spoken(error))
        except (http.client.HTTPException, ValueError):
            return Answer(0, problem="the answer was not HTTP")
        text = answered.octets[:MAX_ANSWER].decode("utf-8", "replace")
        retry_after = (answered.headers.get("Retry-After") or "")[:_MAX_HEADER]
        return Answer(answered.status, text, retry_after=retry_after)


def _authorization(target: Target) -> dict[str, str]:
    if target.user is None:
        return {}
    pair = f"{target.user}:{target.password}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _spoken(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "the endpoint did not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or 'connection closed'}"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the endpoint closed the connection without an answer"
    return f"the connection failed: {error.strerror or 'lost'}"
