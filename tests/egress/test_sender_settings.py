"""What a sender's environment says about routes, TLS and addresses."""

from pathlib import Path

import pytest

from egress.core.routes import Routes
from egress.sender.wiring import read_host
from mailroom.domain.relay import Direct, Relay, TlsPolicy

NEEDED = {
    "MAILROOM_NAMESERVERS": "127.0.0.1:53",
    "MAILROOM_EHLO_NAME": "out.example.com",
    "MAILROOM_JOURNAL_DIR": "/somewhere",
}


def test_without_more_mail_goes_by_mx_and_ipv4() -> None:
    host = read_host(NEEDED)
    assert host.routes == Routes()
    assert (host.source_address, host.source_address6, host.authorities) == (None, None, None)


def test_a_host_says_where_elastic_ips_come_to_and_how_many_addresses_it_takes() -> None:
    host = read_host(NEEDED)
    assert (host.elastic_interface, host.most_addresses) == ("", 0)
    told = {"MAILROOM_ELASTIC_INTERFACE": "eni-1", "MAILROOM_SENDER_ADDRESSES": "16"}
    host = read_host(NEEDED | told)
    assert (host.elastic_interface, host.most_addresses) == ("eni-1", 16)


def test_routes_of_both_forms_are_read() -> None:
    text = "a.example=127.0.0.1:2525, *.b=smtp://r.example:465?tls=implicit ,mx:c=direct,"
    host = read_host(
        NEEDED
        | {
            "MAILROOM_STATIC_ROUTES": text,
            "MAILROOM_TLS_AUTHORITIES": "/ca.pem",
            "MAILROOM_SOURCE_ADDRESS6": "2001:db8::1",
        }
    )
    assert host.routes.targets == {
        "a.example": Relay("127.0.0.1", 2525),
        "*.b": Relay("r.example", 465, TlsPolicy.IMPLICIT),
        "mx:c": Direct.DIRECT,
    }
    assert (host.authorities, host.source_address6) == (Path("/ca.pem"), "2001:db8::1")


@pytest.mark.parametrize("text", ["a.example", "a b=127.0.0.1:25", "*=smtp://u:p@r.example:25"])
def test_a_bad_route_is_an_error_that_names_the_variable(text: str) -> None:
    with pytest.raises(ValueError, match=r"MAILROOM_STATIC_ROUTES: .*docs/settings.md"):
        read_host(NEEDED | {"MAILROOM_STATIC_ROUTES": text})
