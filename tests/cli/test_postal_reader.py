"""Rows of Postal as values: from a dump, whatever its version left out."""

import pytest

from cli.postal.cells import CellError, Cells
from cli.postal.dump import DumpSource
from cli.postal.model import Complaint
from cli.postal.reader import read_installation, read_links, read_suppressions
from tests.support.postal_rows import LINK, dkim_key, dump


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("postal") / "postal.sql"
    path.write_text(dump())
    return DumpSource([path])


@pytest.fixture(scope="module")
def postal(source):
    return read_installation(source)


def test_what_was_deleted_is_left_out_with_all_that_hangs_on_it(postal):
    assert [o.permalink for o in postal.organisations] == ["acme", "late"]
    assert [s.number for s in postal.servers] == [1, 2, 3]
    assert [d.name for d in postal.domains] == ["acme.example", "shared.example", "late.example"]


def test_a_server_keeps_its_token_mode_limits_and_privacy(postal):
    main, tests, late = postal.servers
    assert (main.token, main.send_limit, main.message_days, main.raw_days) == (
        "abc123",
        500,
        60,
        30,
    )
    assert (main.privacy, main.allow_sender, main.pool) == (True, True, 1)
    assert (tests.mode, tests.send_limit, tests.raw_days) == ("Development", None, None)
    assert late.suspended == "spam"
    assert postal.organisations[1].suspended == "owes money"
    assert postal.organisations[0].name == "Acme Größe"


def test_a_domain_keeps_its_selector_its_key_and_its_verification(postal, source):
    own, shared, late = postal.domains
    assert (own.selector, own.dkim_key) == ("postal-ABCDEF", dkim_key().strip())
    assert (own.server, own.organisation, own.verified) == (1, None, True)
    assert own.verification_token == "v" * 32
    assert own.return_path_ok
    assert (shared.server, shared.organisation, shared.use_for_any) == (None, 1, True)
    assert not late.verified
    named = read_installation(source, dkim_identifier="mail")
    assert named.domains[0].selector == "mail-ABCDEF"


def test_secrets_are_in_no_text_of_a_value(postal):
    for each in (*postal.domains, *postal.credentials):
        assert "PRIVATE KEY" not in repr(each)
    assert postal.credentials[0].key not in repr(postal)


def test_routes_have_their_endpoints_and_webhooks_their_events(postal):
    assert postal.routes[0].endpoints == (("http", 1), ("http", 2), ("address", 1))
    assert postal.routes[1].endpoints == ()
    assert postal.webhooks[1].events == ("MessageBounced", "MessageSent", "Nonsense")
    assert postal.track_domains[0].excluded == ("a.example", "b.example")
    assert postal.shared_pools == ((1, 1), (2, 1), (1, 2))
    assert postal.rules[0].senders == ("news@acme.example",)


def test_links_and_suppressions_come_with_their_server(source):
    links = list(read_links(source))
    assert (links[0].server, links[0].token, links[0].url) == (1, *LINK)
    assert len(links) == 3
    first, second = read_suppressions(source)
    assert (first.address, first.added_at, first.until) == (
        "dead@sim.example", 1760000000.25, 1798761600.0
    )  # fmt: skip
    assert second.reason == "too many soft fails"


class Rows:
    """A source of given rows."""

    def __init__(self, **tables):
        self.tables = tables

    def main(self):
        for table, rows in self.tables.items():
            for row in rows:
                yield table, row

    def messages(self, table):
        for row in self.tables.get(table, ()):
            yield 7, row


def test_a_row_that_cannot_be_used_is_told_and_the_rest_is_read():
    organisation = {"id": 1, "name": "A", "permalink": "a"}
    found = read_installation(
        Rows(
            organizations=[organisation, {"id": 2, "name": None, "permalink": "b"}],
            servers=[
                {"id": 1, "organization_id": 1, "name": "S", "permalink": "s", "token": "abcdef"},
                {"id": 2, "organization_id": 1, "name": "T", "permalink": "t"},
                {"id": 3, "organization_id": 1, "name": "U" * 10_001, "permalink": "u"},
            ],
            credentials=[{"id": 5, "server_id": 1, "type": "API", "key": ""}],
        )
    )
    assert [s.number for s in found.servers] == [1]
    assert found.complaints == (
        Complaint("organizations", "2", "name is empty"),
        Complaint("servers", "2", "token is empty"),
        Complaint("servers", "3", "name has over 10000 characters"),
        Complaint("credentials", "5", "key is empty"),
    )
    (bad,) = read_links(Rows(links=[{"id": 9, "token": "x"}]))
    assert bad == Complaint("links", "7/9", "url is empty")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, True), ("0", False), (b"\x01", True), (b"\x00", False), (None, True)],
)
def test_flags_of_any_column_type(value, expected):
    assert Cells({"x": value}).truth("x", otherwise=True) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1760000000.25", 1760000000.25), (1760000000, 1760000000.0), (None, None),
        ("2026-01-01 00:00:00", 1767225600.0), (b"2026-01-01 00:00:00.500000", 1767225600.5),
    ],
)  # fmt: skip
def test_times_are_numbers_or_datetimes_in_utc(value, expected):
    assert Cells({"x": value}).time("x") == expected


@pytest.mark.parametrize(
    "read", [lambda c: c.time("x"), lambda c: c.number("x"), lambda c: c.id("y")]
)
def test_a_cell_without_sense_is_named(read):
    with pytest.raises(CellError, match=r"x is no|y is empty"):
        read(Cells({"x": "soon"}))
