"""The HTTP client: one key, one base URL, retries that cannot do a thing twice."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from cli.errors import NetworkError, Refusal, RefusedError

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_BUSY = frozenset({429, 503})
_LONGEST_WAIT = 60.0  # seconds before one retry, whatever the API asks for
_PAGE_LIMIT = 1_000_000  # pages: ends a walk through cursors that never end


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no refusal; `body` is parsed JSON, or octets of any other type."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def etag(self) -> str:
        """The revision to give back as If-Match, or ""."""
        return self.headers.get("etag", "")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try. `wait` takes seconds."""

    wait: Callable[[float], None]
    tries: int = 5
    first_wait: float = 0.5


class Client:
    """Speaks to one platform's API v2.

    Every write carries an Idempotency-Key, the same for all its tries, so that a lost answer
    never leads to a second domain or a second mail. A refusal is a RefusedError, silence a
    NetworkError.
    """

    def __init__(
        self, http: httpx.Client, key: str, patience: Patience, new_id: Callable[[], str]
    ) -> None:
        """`http` has the base URL and the time-outs; `new_id` gives idempotency keys."""
        self._http = http
        self._key = key
        self._patience = patience
        self._new_id = new_id

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call, again if it was turned away for now or its answer was lost."""
        sent = {"Accept": "application/json", **(headers or {})}
        if self._key:
            sent["Authorization"] = f"Bearer {self._key}"
        if method in WRITES:
            sent.setdefault("Idempotency-Key", self._new_id())
        request = self._http.build_request(
            method,
            path,
            params=_plain(query or {}),
            headers=sent,
            **({} if body is None else {"json": body}),
        )
        response = self._send(request)
        if response.status_code >= 400:
            raise RefusedError(Refusal.read(response.status_code, _parsed(response)))
        if response.is_redirect:
            raise NetworkError(f"{request.url} leads elsewhere; the key is not sent there")
        return Answer(response.status_code, response.headers, _parsed(response))

    def upload(self, url: str, content: bytes) -> None:
        """PUT octets at an address that the API gave. The key is not sent along.

        Raises NetworkError if they are not taken.
        """
        try:
            response = self._http.put(url, content=content)
        except httpx.TransportError as error:
            raise NetworkError(f"the upload failed: {error}") from None
        if response.status_code >= 300:
            raise NetworkError(f"the upload was refused with {response.status_code}")

    def items(self, path: str, *, query: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """Yield the items of all pages of a list."""
        asked = dict(query or {})
        for _ in range(_PAGE_LIMIT):
            page = self.call("GET", path, query=asked).body
            yield from items_of(page)
            asked["cursor"] = next_cursor(page)
            if not asked["cursor"]:
                return

    def _send(self, request: httpx.Request) -> httpx.Response:
        """Send until there is an answer that counts; the last one, when patience is over."""
        for left in reversed(range(self._patience.tries)):
            pause = self._patience.first_wait * 2 ** (self._patience.tries - 1 - left)
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                # Safe for writes too: the idempotency key makes the second one the first.
                if not left:
                    raise NetworkError(f"no answer from {request.url.host}: {error}") from None
            else:
                if not _is_busy(response) or not left:
                    return response
                pause = _retry_after(response, pause)
            self._patience.wait(min(pause, _LONGEST_WAIT))
        raise NetworkError(f"{request.url.host} was not asked")


def items_of(page: Any) -> list[Any]:
    """Return the items of a page of a list."""
    found = page.get("data") if isinstance(page, Mapping) else page
    if not isinstance(found, list):
        raise NetworkError("the API's answer is no list")
    return found


def next_cursor(page: Any) -> str:
    """Return where the next page of a list begins, "" after the last."""
    return str(page.get("next_cursor") or "") if isinstance(page, Mapping) else ""


def _is_busy(response: httpx.Response) -> bool:
    # 409 with Retry-After: the first try of this very write is still being answered.
    waits = response.status_code == 409 and "retry-after" in response.headers
    return waits or response.status_code in _BUSY


def _retry_after(response: httpx.Response, otherwise: float) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() and len(text) < 7 else otherwise


def _parsed(response: httpx.Response) -> Any:
    if not response.content:
        return None
    if "json" not in response.headers.get("content-type", ""):
        return response.content
    try:
        return response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        if response.status_code >= 400:
            return None
        raise NetworkError(f"{response.url} answered what is no JSON") from None


def _plain(query: Mapping[str, Any]) -> httpx.QueryParams:
    """Spell a query: lists repeat, None is left out, truth is `true`."""
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for name, value in query.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if each is not None:
                text = str(each).lower() if isinstance(each, bool) else str(each)
                pairs.append((name, text))
    return httpx.QueryParams(pairs)
