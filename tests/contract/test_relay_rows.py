"""Routes in the directory table: what is written comes back, to its owner only."""

import pytest
from botocore.exceptions import ClientError

from egress.sender.host import read_host
from egress.sender.parts import resolver_of, router_of
from mailroom.adapters import dynamo_relays
from mailroom.adapters.dynamo_relays import RelayRows
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.message import ServerId
from mailroom.domain.relay import Direct, Login, Relay, TlsPolicy

pytestmark = pytest.mark.emulator

MINE, OTHER = "server#abcdefghij", "server#bbbbbbbbbb"
LOGIN = Login("j\u00f6rg", "p\u00e4ss word", cram=False, allow_plain=True)


class Table:
    """The rows, and a keyring that remembers nothing from one test step to the next."""

    def __init__(self, cloud):
        self.rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
        self._kms = cloud.client("kms")
        self._key = cloud.settings.resource("key", "secrets")

    def relays(self, **how):
        return RelayRows(self.rows, KmsKeyring(self._kms, self._key), **how)


@pytest.fixture
def table(cloud):
    return Table(cloud)


def test_routes_come_back_as_they_were_written_and_to_their_owner(table):
    routes = {
        "*": Relay("relay.example", 587, TlsPolicy.VERIFIED, LOGIN),
        "*.example": Relay("203.0.114.1", 25, TlsPolicy.NONE),
        "mx:google.com": Relay("relay.example", 465, TlsPolicy.IMPLICIT, Login("a", "b")),
        "a.example": Direct.DIRECT,
    }
    for pattern, target in routes.items():
        table.relays().put_relay(MINE, pattern, target)
    table.relays().put_relay("platform", "*", Relay("127.0.0.1", 2525, login=Login("p", "q")))
    assert table.relays().relays(MINE) == routes
    assert table.relays().relays("platform") == {
        "*": Relay("127.0.0.1", 2525, login=Login("p", "q"))
    }
    assert table.relays().relays(OTHER) == {}


def test_a_route_is_replaced_with_its_secret_and_removed(table):
    relays = table.relays()
    relays.put_relay(MINE, "A.example", Relay("relay.example", 587, login=LOGIN))
    relays.put_relay(MINE, "a.example", Relay("relay.example", 587))
    assert table.rows.get(MINE, "relay#a.example").wrapped is None
    assert relays.relays(MINE) == {"a.example": Relay("relay.example", 587)}
    relays.delete_relay(MINE, "a.example")
    assert relays.relays(MINE) == {}


def test_a_secret_is_stored_encrypted_and_opens_in_no_other_row(table):
    table.relays().put_relay(MINE, "*", Relay("relay.example", 587, login=LOGIN))
    row = table.rows.get(MINE, "relay#*")
    assert LOGIN.secret.encode() not in row.wrapped
    assert LOGIN.secret not in row.json
    stolen = table.rows(OTHER, "relay#*")
    stolen.json, stolen.wrapped = row.json, row.wrapped
    stolen.save()
    with pytest.raises(ClientError, match="InvalidCiphertext"):
        table.relays().relays(OTHER)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1"])
def test_a_servers_relay_is_not_written_at_a_private_address(table, host):
    with pytest.raises(ValueError, match="private address"):
        table.relays().put_relay(MINE, "*", Relay(host))
    table.relays(networks=(f"{host}",)).put_relay(MINE, "*", Relay(host))
    table.relays().put_relay("platform", "*", Relay(host))


@pytest.mark.parametrize(
    ("owner", "pattern"),
    [("organisation#x", "*"), ("server#", "*"), ("", "*"), ("server#a#b", "*"),
     (MINE, "a b"), (MINE, "")],
)  # fmt: skip
def test_a_bad_owner_or_pattern_is_refused(table, owner, pattern):
    with pytest.raises(ValueError, match=r"owns no relays|is no domain"):
        table.relays().put_relay(owner, pattern, Direct.DIRECT)


def test_the_number_of_routes_is_bounded(table, monkeypatch):
    monkeypatch.setattr(dynamo_relays, "MAX_RELAYS", 2)
    relays = table.relays()
    for pattern in ("a.example", "b.example"):
        relays.put_relay(MINE, pattern, Direct.DIRECT)
    with pytest.raises(ValueError, match="already"):
        relays.put_relay(MINE, "c.example", Direct.DIRECT)
    relays.put_relay(MINE, "a.example", Relay("relay.example"))  # a change is none more
    relays.put_relay(OTHER, "c.example", Direct.DIRECT)


async def test_the_sender_finds_its_routes_in_the_table(table, cloud):
    host = read_host(
        {
            "MAILROOM_NAMESERVERS": "127.0.0.1:9",
            "MAILROOM_EHLO_NAME": "out.example.com",
            "MAILROOM_JOURNAL_DIR": ".",
            "MAILROOM_STATIC_ROUTES": "here.example=127.0.0.1:25",
        }
    )
    relay = Relay("203.0.114.1", 587, TlsPolicy.VERIFIED, LOGIN)
    table.relays().put_relay(MINE, "mine.example", relay)
    table.relays().put_relay("platform", "*", Relay("10.0.0.1", 25))
    rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
    router = router_of(host, resolver_of(host), rows)
    found = {
        domain: (await router.hosts(ServerId("abcdefghij"), domain)).relay
        for domain in ("mine.example", "here.example", "other.example")
    }
    assert found == {
        "mine.example": relay,
        "here.example": Relay("127.0.0.1", 25),
        "other.example": Relay("10.0.0.1", 25),
    }
