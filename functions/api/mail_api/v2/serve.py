"""Serve the table of operations: one path of every request from its headers to its answer.

who calls (401) -> how often (429) -> what it is about (404, 403) -> is it well made (4xx)
-> was it asked before (Idempotency-Key) -> the operation -> the answer
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from chalice.app import Chalice, Request, Response

from mail_api.v2.answering import problem, refusal_of, written
from mail_api.v2.desk import Desk, Rates
from mail_api.v2.operation import ROOT, ApiError, Call, Operation
from mail_api.v2.reading import read_body, read_query
from mailroom.domain.tenancy.access import Kind, Principal, Target
from mailroom.domain.tenancy.record import Place
from mailroom.errors import MailroomError
from mailroom.ports.requests import Allowance, Remembered, Standing
from mailroom.usecases.identify import UnauthenticatedError, identify
from mailroom.usecases.registrar import missing

MAX_IDEMPOTENCY_KEY = 255
KEY_HEADER = "x-server-api-key"  # Postal's; `Authorization: Bearer` is ours


def add_operations(
    app: Chalice, desk: Callable[[], Desk], operations: Mapping[str, Mapping[str, Operation]]
) -> None:
    """Add the operations, by path and method. `desk` is asked for at the first request."""
    for path, methods in operations.items():
        _add(app, path, methods, desk)


def _add(
    app: Chalice, path: str, methods: Mapping[str, Operation], desk: Callable[[], Desk]
) -> None:
    name = path.strip("/").replace("/", "_").replace("{", "").replace("}", "").replace(".", "_")

    # An empty list of content types lets all through: `read_body` decides.
    @app.route(ROOT + path, methods=list(methods), content_types=[], name=f"v2_{name}")
    def view(**values: str) -> Response:
        request = cast("Request", app.current_request)
        return serve(methods[request.method], request, values, desk())


def serve(operation: Operation, request: Request, path: Mapping[str, str], desk: Desk) -> Response:
    """Answer one request. Never raises for what a caller did."""
    request_id = str(request.context.get("requestId", ""))
    extra: dict[str, str] = {"x-request-id": request_id}
    try:
        return _served(operation, request, path, desk, request_id, extra)
    except (ApiError, MailroomError) as error:
        return problem(refusal_of(error), request_id, extra)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request says before its body is looked at."""

    headers: Mapping[str, str]
    address: str
    request_id: str


def _served(
    operation: Operation,
    request: Request,
    path: Mapping[str, str],
    desk: Desk,
    request_id: str,
    extra: dict[str, str],
) -> Response:
    headers: Mapping[str, str] = request.headers
    asked = _Asked(headers, request.context["identity"]["sourceIp"], request_id)
    if operation.public and not operation.writes:  # the same for all, whatever else they say
        call = Call(desk, _NOBODY, Target(), path, None, None, b"", headers, request_id, "")
        return written(operation, operation.call(call), extra, desk.api())
    principal, target = _admitted(operation, path, asked, desk, extra)
    raw, body = read_body(operation, request)
    query = read_query(operation, _query(request))
    call = Call(desk, principal, target, path, body, query, raw, headers, request_id, asked.address)
    key = headers.get("idempotency-key")
    if operation.writes and key is not None:
        return _once(operation, call, request, key, extra)
    return written(operation, operation.call(call), extra, desk.api())


def _admitted(
    operation: Operation,
    path: Mapping[str, str],
    asked: _Asked,
    desk: Desk,
    extra: dict[str, str],
) -> tuple[Principal, Target]:
    """Return who calls, and about what. Raises ApiError, NotFoundError and ForbiddenError."""
    if operation.public:
        _count(f"address#{asked.address}", desk.public_rates, desk, extra)
        return _NOBODY, Target()
    principal = _who(asked, desk)
    _count(principal.id, desk.rates, desk, extra)
    target = _target(operation, path, principal, desk)
    if operation.scope is not None:
        desk.authorise(principal, operation.scope, target)
    return principal, target


_NOBODY = Principal(Kind.NOBODY, id="", name="")


def _query(request: Request) -> dict[str, str]:
    given = request.query_params
    return {} if given is None else {name: given[name] for name in given}


def _who(asked: _Asked, desk: Desk) -> Principal:
    given = asked.headers.get("authorization", "")
    scheme, _, token = given.partition(" ")
    secret = token.strip() if scheme.lower() == "bearer" else asked.headers.get(KEY_HEADER, "")
    if not secret:
        raise ApiError(
            401,
            "unauthenticated",
            "Send a key as Authorization: Bearer",
            headers={"www-authenticate": "Bearer"},
        )
    try:
        return identify(
            secret,
            address=asked.address,
            now=desk.registrar.clock.now(),
            registry=desk.registry,
            environment=desk.registrar.environment,
            last_use=desk.last_use,
        )
    except UnauthenticatedError as error:
        raise ApiError(
            401, error.code, str(error), headers={"www-authenticate": "Bearer"}
        ) from error


def _count(who: str, rates: Rates, desk: Desk, extra: dict[str, str]) -> None:
    now = desk.registrar.clock.now()
    allowance = desk.limits.take(who, rates.limit, rates.window, now)
    extra |= _rate_headers(allowance, now)
    if not allowance.allowed:
        wait = str(max(1, round(allowance.resets_at - now)))
        raise ApiError(
            429, "rate_limited", "Too many requests: ask again later", headers={"retry-after": wait}
        )


def _rate_headers(allowance: Allowance, now: float) -> dict[str, str]:
    # Names of the IETF's draft on RateLimit header fields, the reset in seconds from now.
    return {
        "ratelimit-limit": str(allowance.limit),
        "ratelimit-remaining": str(allowance.remaining),
        "ratelimit-reset": str(max(0, round(allowance.resets_at - now))),
    }


def _target(
    operation: Operation, path: Mapping[str, str], principal: Principal, desk: Desk
) -> Target:
    """Return what a call is about. Raises NotFoundError for what does not exist."""
    if operation.flat:
        return _own(operation.flat, principal, desk)
    if "server" in path:
        server = desk.registry.read(Place(f"server#{path['server']}"))
        if server is None:
            raise missing(path["server"], desk.registrar.environment)
        return Target(server.body["organisation"], path["server"])
    if "organisation" in path:
        row = desk.registry.read(Place(f"organisation#{path['organisation']}"))
        if row is None or row.body.get("deleted"):
            raise missing(path["organisation"], desk.registrar.environment)
        return Target(path["organisation"])
    return Target()


def _own(flat: str, principal: Principal, desk: Desk) -> Target:
    if flat == "server" and principal.server:
        return Target(principal.organisation, principal.server)
    if flat == "organisation" and principal.organisation:
        return Target(principal.organisation)
    raise ApiError(400, f"no_{flat}", f"This key belongs to no {flat}: name it in the path instead")


def _once(
    operation: Operation, call: Call, request: Request, key: str, extra: dict[str, str]
) -> Response:
    """Do what a request asks unless that was done for its Idempotency-Key before."""
    if not 0 < len(key) <= MAX_IDEMPOTENCY_KEY or not key.isprintable() or not key.isascii():
        raise ApiError(400, "bad_idempotency_key", "Idempotency-Key has 1 to 255 characters")
    answers, owner, now = call.desk.answers, call.principal.id, call.desk.registrar.clock.now()
    before = answers.begin(owner, key, _digest(operation, request, call), now)
    if before.standing is Standing.OTHER:
        raise ApiError(422, "idempotency_key_reused", "This key stood for another request")
    if before.standing is Standing.RUNNING:
        raise ApiError(
            409, "still_running", "The first request with this key is not answered yet",
            headers={"retry-after": "1"},
        )  # fmt: skip
    if before.standing is Standing.DONE:
        headers: dict[str, str | list[str]] = {**before.headers, **extra}
        headers["idempotency-replayed"] = "true"
        body = before.body
        if operation.secret:
            body = call.desk.keyring.unwrap(bytes.fromhex(body), _kept_for(owner)).decode()
        return Response(body, status_code=before.status, headers=headers)
    return _first(operation, call, key, extra)


def _first(operation: Operation, call: Call, key: str, extra: dict[str, str]) -> Response:
    answers, owner = call.desk.answers, call.principal.id
    try:
        answer = written(operation, operation.call(call), extra, call.desk.api())
    except (ApiError, MailroomError) as error:
        refusal = refusal_of(error)
        # What was refused for now may be allowed later, so nothing is remembered of it.
        answers.forget(owner, key)
        return problem(refusal, call.request_id, extra)
    except Exception:
        answers.forget(owner, key)
        raise
    kept = {n: v for n, v in answer.headers.items() if n in ("content-type", "etag", "location")}
    body = answer.body if isinstance(answer.body, str) else ""
    if operation.secret:
        body = call.desk.keyring.wrap(body.encode(), _kept_for(owner)).hex()
    remembered = Remembered(Standing.DONE, answer.status_code, body, cast("dict[str, str]", kept))
    answers.finish(owner, key, remembered, call.desk.registrar.clock.now())
    return answer


def _kept_for(owner: str) -> str:
    return f"answer#{owner}"


def _digest(operation: Operation, request: Request, call: Call) -> str:
    condition = call.headers.get("if-match")
    told = json.dumps([operation.id, dict(call.path), _query(request), condition])
    return hashlib.sha256(told.encode() + b"\0" + call.raw).hexdigest()
