"""Fetching MTA-STS policies over real HTTPS on loopback."""

import asyncio
import http.server
import threading

import pytest

from egress.connecting import TlsPolicy, tls_context
from egress.core.mx import Addresses, Lookup
from egress.sts_fetch import MAX_WAITING, StsFetcher, StsFetchError
from mailroom.domain.transport.sts import MAX_POLICY, StsMode, StsPolicy
from mailroom.domain.transport.tls_result import TlsResult
from tests.egress.tls_peers import Authority, an_authority
from tests.egress.web_policy import POLICY, Script, page, web_server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return an_authority(tmp_path_factory.mktemp("authority"))


class Book:
    def __init__(self, *addresses: str) -> None:
        self.addresses_ = addresses

    async def addresses(self, host: str) -> Addresses:
        assert host == "mta-sts.example.org"
        return Addresses(Lookup.FOUND if self.addresses_ else Lookup.EMPTY, self.addresses_)


async def fetch(
    authority: Authority,
    port: int,
    *addresses: str,
    networks: tuple[str, ...] = ("127.0.0.0/8",),
    seconds: float = 5.0,
) -> StsPolicy:
    fetcher = StsFetcher(
        Book(*addresses),
        networks=networks,
        tls=tls_context(TlsPolicy.VERIFIED, authority.file),
        port=port,
        timeout=seconds,
    )
    try:
        return await fetcher.fetch("example.org")
    finally:
        fetcher.close()


async def test_a_policy_is_fetched_from_its_well_known_place(authority: Authority) -> None:
    with web_server(authority.host("mta-sts.example.org"), page()) as (port, asked):
        policy = await fetch(authority, port, "127.0.0.1")
    assert policy == StsPolicy(StsMode.ENFORCE, 86_400, ("mx.example.org",))
    assert asked == [("/.well-known/mta-sts.txt", f"mta-sts.example.org:{port}")]


@pytest.mark.parametrize(
    ("script", "result"),
    [
        (page(b"", 404), TlsResult.STS_POLICY_FETCH_ERROR),
        (page(POLICY, 301), TlsResult.STS_POLICY_FETCH_ERROR),
        (page(POLICY, kind="text/html"), TlsResult.STS_POLICY_INVALID),
        (page(b"<html>"), TlsResult.STS_POLICY_INVALID),
        (page(POLICY + b"x: " + b"y" * MAX_POLICY), TlsResult.STS_POLICY_INVALID),
        (lambda handler: handler.connection.close(), TlsResult.STS_POLICY_FETCH_ERROR),
    ],
)
async def test_what_is_no_policy_is_named_for_the_report(
    script: Script, result: TlsResult, authority: Authority
) -> None:
    with (
        web_server(authority.host("mta-sts.example.org"), script) as (port, asked),
        pytest.raises(StsFetchError) as problem,
    ):
        await fetch(authority, port, "127.0.0.1")
    assert (problem.value.result, len(asked)) == (result, 1)


@pytest.mark.parametrize("kind", ["mismatch", "expired", "stranger"])
async def test_a_web_server_with_a_bad_certificate_has_no_policy(
    kind: str, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = "mta-sts.example.org"
    match kind:
        case "mismatch":
            context = authority.host("www.example.org")
        case "expired":
            context = authority.host(name, expired=True)
        case _:
            context = an_authority(tmp_path_factory.mktemp("other")).host(name)
    with (
        web_server(context, page()) as (port, asked),
        pytest.raises(StsFetchError) as problem,
    ):
        await fetch(authority, port, "127.0.0.1")
    assert (problem.value.result, asked) == (TlsResult.STS_WEBPKI_INVALID, [])


@pytest.mark.parametrize(
    ("addresses", "networks"),
    [((), ()), (("127.0.0.1",), ()), (("10.0.0.1", "169.254.169.254", "::1"), ())],
)
async def test_private_addresses_are_never_asked(
    addresses: tuple[str, ...], networks: tuple[str, ...], authority: Authority
) -> None:
    with (
        web_server(authority.host("mta-sts.example.org"), page()) as (port, asked),
        pytest.raises(StsFetchError) as problem,
    ):
        await fetch(authority, port, *addresses, networks=networks)
    assert (problem.value.result, asked) == (TlsResult.STS_POLICY_FETCH_ERROR, [])


async def test_more_fetches_than_can_be_had_fail_at_once() -> None:
    gate = asyncio.Event()

    class Waiting:
        async def addresses(self, host: str) -> Addresses:
            await gate.wait()
            return Addresses(Lookup.EMPTY)

    fetcher = StsFetcher(Waiting())
    waiting = [asyncio.create_task(fetcher.fetch("a.test")) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(StsFetchError, match="too many"):
        await fetcher.fetch("a.test")
    gate.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, StsFetchError) for each in ended)
    with pytest.raises(StsFetchError, match="no address"):
        await fetcher.fetch("a.test")
    fetcher.close()


async def test_a_web_server_that_takes_too_long_is_given_up(authority: Authority) -> None:
    stop = threading.Event()

    def slowly(handler: http.server.BaseHTTPRequestHandler) -> None:
        while not stop.wait(0.02):
            handler.wfile.write(b"x")  # an octet now and then keeps a socket's own time-out away

    with web_server(authority.host("mta-sts.example.org"), slowly) as (port, _):
        try:
            with pytest.raises(StsFetchError) as problem:
                await fetch(authority, port, "127.0.0.1", seconds=0.3)
        finally:
            stop.set()
    assert problem.value.result is TlsResult.STS_POLICY_FETCH_ERROR
