"""The client's address: the peer's, or what proxies of ours say, and nobody's own word."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostapi.client import client_address, is_proxy
from mailroom.adapters.chalice_http import Handler
from tests.hostapi.stand import Stand
from tests.support.api_calls import MemoryApi

OURS = [ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # no proxy of ours
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # the first is its own word
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7, 10.0.0.2,10.9.9.9"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.7, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [","], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7:1234"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("2001:db8:1::1", ["2001:db8:2::7"], "2001:db8:2::7"),
        ("fe80::1%eth0", ["198.51.100.7"], "fe80::1"),
        ("10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("", ["198.51.100.7"], ""),
    ],
)
def test_only_our_proxies_are_believed(peer: str, forwarded: list[str], client: str) -> None:
    assert client_address(peer, forwarded, OURS) == client


@given(st.ip_addresses().map(str), st.lists(st.text(max_size=60), max_size=5))
def test_a_stranger_is_always_its_own_address(peer: str, forwarded: list[str]) -> None:
    found = client_address(peer, forwarded, OURS)
    if not is_proxy(peer, OURS):
        assert found == client_address(peer, [], OURS)


@pytest.mark.parametrize(
    ("proxies", "client"), [(("127.0.0.0/8",), "198.51.100.7"), ((), "127.0.0.1")]
)
async def test_the_app_is_told_the_clients_address(proxies: tuple[str, ...], client: str) -> None:
    def address(_: MemoryApi) -> Handler:
        return lambda event, _: {
            "statusCode": 200,
            "headers": {},
            "body": event["requestContext"]["http"]["sourceIp"],
            "isBase64Encoded": False,
        }

    async with Stand(handler_of=address, proxies=proxies).serving() as stand:
        caller = await stand.client()
        answer = await caller.ask("GET", "/", None, X_Forwarded_For="203.0.113.9, 198.51.100.7")
        assert answer.body.decode() == client
