import json

import dns.name
import pytest
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from hypothesis import given, settings
from hypothesis import strategies as st

from localstack.dns_zone import Zone, ZoneError, look_up, parse_zone
from localstack.zones import tenant_records, world_zone


def ask(zone: Zone, name: str, rdtype: str):
    answer = look_up(zone, dns.name.from_text(name), RdataType.from_text(rdtype))
    texts = [record.to_text() for rrset in answer.found for record in rrset]
    return answer.rcode, texts


@pytest.fixture
def world() -> Zone:
    return parse_zone(json.dumps(world_zone()))


@pytest.mark.parametrize(
    ("name", "exchanges"),
    [
        ("sim.test", ["10 mx1.sim.test.", "20 mx2.sim.test."]),
        ("busy.sim.test", ["10 mx-busy.sim.test."]),
        ("failover.sim.test", ["10 mx-busy.sim.test.", "20 mx2.sim.test."]),
        ("down.sim.test", ["10 mx-down.sim.test."]),
        ("private.sim.test", ["10 mx-private.sim.test."]),
        ("nullmx.sim.test", ["0 ."]),
        ("SIM.test", ["10 mx1.sim.test.", "20 mx2.sim.test."]),
    ],
)
def test_each_domain_of_the_world_names_its_mx_hosts(world, name, exchanges):
    rcode, texts = ask(world, name, "MX")

    assert (rcode, sorted(texts)) == (Rcode.NOERROR, exchanges)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("mx1.sim.test", "127.0.0.2"),
        ("mx2.sim.test", "127.0.0.3"),
        ("mx-busy.sim.test", "127.0.0.4"),
        ("mx-down.sim.test", "127.0.0.9"),
        ("nomx.sim.test", "127.0.0.2"),
        ("mx-private.sim.test", "10.0.0.1"),
    ],
)
def test_each_host_has_its_address(world, host, address):
    assert ask(world, host, "A") == (Rcode.NOERROR, [address])


@pytest.mark.parametrize("name", ["nomx.sim.test", "nodata.sim.test"])
def test_a_name_without_mx_answers_with_no_data(world, name):
    answer = look_up(world, dns.name.from_text(name), RdataType.MX)

    assert (answer.rcode, answer.found) == (Rcode.NOERROR, ())
    assert answer.authority[0].rdtype is RdataType.SOA


def test_an_alias_is_followed(world):
    rcode, texts = ask(world, "cname.sim.test", "MX")

    assert (rcode, texts[0], len(texts)) == (Rcode.NOERROR, "sim.test.", 3)


def test_a_name_that_fails_takes_everything_below_it_along(world):
    assert ask(world, "servfail.sim.test", "MX")[0] is Rcode.SERVFAIL
    assert ask(world, "a.servfail.sim.test", "TXT")[0] is Rcode.SERVFAIL


def test_other_names_do_not_exist_and_the_soa_belongs_to_the_domain(world):
    answer = look_up(world, dns.name.from_text("ghost.sim.test"), RdataType.MX)

    assert answer.rcode is Rcode.NXDOMAIN
    assert str(answer.authority[0].name) == "sim.test."
    assert ask(world, "elsewhere.example", "A")[0] is Rcode.NXDOMAIN


def test_the_world_moves_with_its_base():
    world = parse_zone(json.dumps(world_zone("127.3.2.")))

    assert ask(world, "mx2.sim.test", "A") == (Rcode.NOERROR, ["127.3.2.3"])


def test_a_tenant_publishes_what_postal_asks_for():
    records = tenant_records(
        "acme.test",
        selector="postal-ABCDEF",
        public_key_b64="A" * 392,
        spf_include="spf.mail.test",
        return_path_target="rp.mail.test",
        tracking_target="track.mail.test.",
        verification_token="t0ken",
    )
    zone = parse_zone(json.dumps({"records": records}))

    rcode, texts = ask(zone, "postal-ABCDEF._domainkey.acme.test", "TXT")
    assert rcode is Rcode.NOERROR
    assert texts[0].replace('" "', "") == f'"v=DKIM1; t=s; h=sha256; p={"A" * 392};"'
    assert sorted(ask(zone, "acme.test", "TXT")[1]) == [
        '"postal-verification t0ken"',
        '"v=spf1 a mx include:spf.mail.test ~all"',
    ]
    assert ask(zone, "psrp.acme.test", "CNAME")[1] == ["rp.mail.test."]
    assert ask(zone, "track.acme.test", "CNAME")[1] == ["track.mail.test."]


def test_a_long_text_is_cut_into_strings_of_255_octets():
    zone = parse_zone(json.dumps({"records": [["long.test", "TXT", "x" * 600, 7]]}))

    found = look_up(zone, dns.name.from_text("long.test"), RdataType.TXT).found[0]

    assert [len(part) for part in found[0].strings] == [255, 255, 90]
    assert found.ttl == 7


def test_a_loop_of_aliases_fails():
    records = [["a.test.", "CNAME", "b.test."], ["b.test.", "CNAME", "a.test."]]

    assert ask(parse_zone(json.dumps({"records": records})), "a.test", "A")[0] is Rcode.SERVFAIL


def test_a_dangling_alias_speaks_of_its_target():
    zone = parse_zone(json.dumps({"records": [["a.test.", "CNAME", "gone.test."]]}))

    assert ask(zone, "a.test", "A") == (Rcode.NXDOMAIN, ["gone.test."])


def test_what_lies_below_makes_a_name_exist_and_nodata_names_too():
    zone = parse_zone('{"records": [["x.y.test", "A", "127.0.0.1"]], "nodata": ["bare.test"]}')

    assert ask(zone, "y.test", "A") == (Rcode.NOERROR, [])
    assert ask(zone, "bare.test", "MX") == (Rcode.NOERROR, [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"record": []}', "unknown key 'record'"),
        ('{"records": {}}', "records must be a list"),
        ('{"records": [["a.test", "A"]]}', r"records\[0\]"),
        ('{"records": [["a.test", "A", "1.2.3"]]}', r"records\[0\]"),
        ('{"records": [["a.test", "A", "127.0.0.1"], ["a.test", "QQ", "1"]]}', r"records\[1\]"),
        ('{"records": [["a.test", "ANY", "1"]]}', "not a type"),
        ('{"records": [["a.test", "MX", "mx.test."]]}', r"records\[0\]"),
        ('{"records": [["a..test", "A", "127.0.0.1"]]}', r"records\[0\]"),
        ('{"records": [["a.test", "A", "127.0.0.1", -1]]}', "ttl"),
        ('{"records": [["a.test", "TXT", 5]]}', "must be a text"),
        ('{"servfail": [7]}', "servfail"),
        ('{"records": [["a", "CNAME", "b."], ["a", "A", "127.0.0.1"]]}', "only record"),
    ],
)
def test_a_bad_zone_is_refused_with_the_entry_that_is_bad(text, complaint):
    with pytest.raises(ZoneError, match=complaint):
        parse_zone(text)


@settings(max_examples=100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=8,
    )
)
def test_any_json_is_a_zone_or_a_zone_error(anything):
    for document in (anything, {"records": anything}, {"records": [anything], "nodata": []}):
        try:
            parse_zone(json.dumps(document))
        except ZoneError as error:
            assert str(error)  # noqa: PT017  # either outcome is right
