"""What a domain should publish, and how that is written down for pasting."""

import json

import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.zone
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.dns.answers import DnsAnswer, Kind, Lookup, txt
from mailroom.domain.dns.dkim_record import KeyKind, Wording
from mailroom.domain.dns.records import (
    Need,
    PlatformNames,
    PublishedKey,
    Purpose,
    Record,
    SendingDomain,
    as_published,
    expected_records,
    tracking_record,
)
from mailroom.domain.dns.render import route53_change_batch, zone_snippet
from mailroom.domain.dns.spf import suggested_spf

PLATFORM = PlatformNames(
    spf_include="spf.mail.test",
    return_path="rp.mail.test",
    tracking="track.mail.test",
    mx=("mx1.mail.test", "mx2.mail.test"),
    dmarc_reports="dmarc@mail.test",
)
RSA = PublishedKey("mailroom-abcdef", KeyKind.RSA, "A" * 392)
DOMAIN = SendingDomain("example.com", "t" * 32, (RSA,))


def by_purpose(domain: SendingDomain, platform: PlatformNames = PLATFORM) -> dict[str, Record]:
    return {record.key: record for record in expected_records(domain, platform)}


def test_the_records_of_a_domain() -> None:
    rows = [(r.key, r.kind, r.name, r.value, r.need) for r in expected_records(DOMAIN, PLATFORM)]
    assert rows == [
        ("ownership", "TXT", "example.com", "mailroom-verification " + "t" * 32, "required"),
        (
            "dkim:mailroom-abcdef",
            "TXT",
            "mailroom-abcdef._domainkey.example.com",
            "v=DKIM1; k=rsa; p=" + "A" * 392,
            "required",
        ),
        ("spf", "TXT", "example.com", "v=spf1 a mx include:spf.mail.test ~all", "required"),
        ("return_path", "CNAME", "psrp.example.com", "rp.mail.test", "recommended"),
        ("mx", "MX", "example.com", "10 mx1.mail.test", "optional"),
        ("mx", "MX", "example.com", "10 mx2.mail.test", "optional"),
        (
            "dmarc",
            "TXT",
            "_dmarc.example.com",
            "v=DMARC1; p=none; rua=mailto:dmarc@mail.test",
            "recommended",
        ),
    ]


def test_a_domain_from_postal_keeps_all_it_has_published() -> None:
    key = PublishedKey("postal-ABCDEF", KeyKind.RSA, "AAAA", Wording.POSTAL)
    domain = SendingDomain(
        "example.com",
        "x",
        (key,),
        verification_prefix="postal-verification",
        return_path_label="bounce",
    )
    records = by_purpose(domain)
    assert records["ownership"].value == "postal-verification x"
    assert records["return_path"].name == "bounce.example.com"
    assert records["dkim:postal-ABCDEF"].value == "v=DKIM1; t=s; h=sha256; p=AAAA;"


def test_an_ed25519_key_and_a_pending_one() -> None:
    second = PublishedKey("e1", KeyKind.ED25519, "BBBB", Wording.POSTAL)
    pending = PublishedKey("n1", KeyKind.RSA, "CCCC", pending=True)
    records = by_purpose(SendingDomain("example.com", "x", (RSA, second, pending)))
    assert records["dkim:e1"].value == "v=DKIM1; k=ed25519; p=BBBB"
    assert records["dkim:e1"].need is Need.REQUIRED
    assert records["dkim:n1"].need is Need.RECOMMENDED


def test_names_the_platform_does_not_have_are_left_out() -> None:
    assert set(by_purpose(SendingDomain("example.com", "x"), PlatformNames())) == {
        "ownership",
        "dmarc",
    }


def test_a_tracking_domain_is_an_alias() -> None:
    record = tracking_record("click.example.com", PLATFORM)
    assert (record.kind, record.value, record.key) == ("CNAME", "track.mail.test", "tracking")


@pytest.mark.parametrize(
    ("existing", "merged"),
    [
        ("", "v=spf1 a mx include:OURS ~all"),
        ("v=spf1 -all", "v=spf1 include:OURS -all"),
        ("v=spf1 ip4:192.0.2.1 include:x ?all", "v=spf1 ip4:192.0.2.1 include:x include:OURS ?all"),
        ("v=spf1 redirect=_spf.x", "v=spf1 include:OURS redirect=_spf.x"),
        ("v=spf1 mx", "v=spf1 mx include:OURS"),
        ("v=spf1", "v=spf1 include:OURS"),
        ("V=SPF1  MX   -ALL", "V=SPF1 MX include:OURS -ALL"),
        ("v=spf1 +include:OURS -all", "v=spf1 +include:OURS -all"),
        ("v=spf1 -include:OURS -all", "v=spf1 -include:OURS include:OURS -all"),
        ("v=spf1 all:x -all", "v=spf1 all:x include:OURS -all"),
    ],
)
def test_ours_joins_the_spf_record_that_is_there(existing: str, merged: str) -> None:
    ours = "spf.mail.test"
    assert suggested_spf(ours, existing.replace("OURS", ours)) == merged.replace("OURS", ours)


def test_what_is_published_is_never_weakened() -> None:
    answers = {
        txt("example.com"): DnsAnswer(Lookup.FOUND, ("other", "v=spf1 mx -all")),
        txt("_dmarc.example.com"): DnsAnswer(Lookup.FOUND, ("v=DMARC1; p=reject",)),
    }
    records = by_purpose(as_published(DOMAIN, answers))
    assert records["spf"].value == "v=spf1 mx include:spf.mail.test -all"
    assert records["dmarc"].value == "v=DMARC1; p=reject"


def test_of_several_spf_records_none_is_taken_for_the_one() -> None:
    answers = {txt("example.com"): DnsAnswer(Lookup.FOUND, ("v=spf1 -all", "v=spf1 mx -all"))}
    assert as_published(DOMAIN, answers) == DOMAIN


def test_a_zone_file_has_each_record_with_its_purpose() -> None:
    text = zone_snippet(expected_records(DOMAIN, PLATFORM)[:4])
    assert text == (
        "; ownership, required\n"
        f'example.com. 3600 IN TXT "mailroom-verification {"t" * 32}"\n'
        "; dkim, required\n"
        "mailroom-abcdef._domainkey.example.com. 3600 IN TXT "
        f'"v=DKIM1; k=rsa; p={"A" * 237}" "{"A" * 155}"\n'
        "; spf, required\n"
        'example.com. 3600 IN TXT "v=spf1 a mx include:spf.mail.test ~all"\n'
        "; return path, recommended\n"
        "psrp.example.com. 3600 IN CNAME rp.mail.test.\n"
    )
    assert zone_snippet([]) == ""


def read_back(snippet: str) -> dict[tuple[str, str], list[str]]:
    """What a name server reads in the snippet."""
    zone = dns.zone.from_text(
        "@ 60 IN SOA ns. host. 1 1 1 1 1\n@ 60 IN NS ns.\n" + snippet,
        origin="example.com.",
        relativize=False,
    )
    found: dict[tuple[str, str], list[str]] = {}
    for name, _, rdata in zone.iterate_rdatas():
        place = name.to_text(True), dns.rdatatype.to_text(rdata.rdtype)
        if isinstance(rdata, dns.rdtypes.ANY.TXT.TXT):
            assert all(len(piece) <= 255 for piece in rdata.strings)
            text = b"".join(rdata.strings).decode()
        else:
            text = rdata.to_text()
        found.setdefault(place, []).append(text)
    return found


def test_a_name_server_reads_the_whole_snippet() -> None:
    found = read_back(zone_snippet(expected_records(DOMAIN, PLATFORM)))
    assert sorted(found["example.com", "MX"]) == ["10 mx1.mail.test.", "10 mx2.mail.test."]
    assert found["psrp.example.com", "CNAME"] == ["rp.mail.test."]
    assert len(found["example.com", "TXT"]) == 2


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=700))
@settings(max_examples=60)
def test_any_text_survives_the_zone_file(text: str) -> None:
    record = Record(Purpose.SPF, Kind.TXT, "a.example.com", text, Need.REQUIRED)
    assert read_back(zone_snippet([record]))["a.example.com", "TXT"] == [text]


def test_route_53_gets_one_set_for_each_name_and_type() -> None:
    batch = route53_change_batch(expected_records(DOMAIN, PLATFORM))
    sets = {
        (c["ResourceRecordSet"]["Name"], c["ResourceRecordSet"]["Type"]): c
        for c in json.loads(json.dumps(batch))["Changes"]
    }
    assert len(sets) == len(batch["Changes"]) == 4
    apex = sets["example.com.", "TXT"]
    assert apex["Action"] == "CREATE"
    assert apex["ResourceRecordSet"]["TTL"] == 3600
    assert [each["Value"] for each in apex["ResourceRecordSet"]["ResourceRecords"]] == [
        f'"mailroom-verification {"t" * 32}"',
        '"v=spf1 a mx include:spf.mail.test ~all"',
    ]


def test_route_53_never_takes_incoming_mail_away_unasked() -> None:
    batch = route53_change_batch(expected_records(DOMAIN, PLATFORM), {})
    assert "MX" not in [c["ResourceRecordSet"]["Type"] for c in batch["Changes"]]


def test_route_53_keeps_what_is_published_beside_ours() -> None:
    published = {
        ("example.com", Kind.TXT): ("site-verification=1", "v=spf1 mx -all"),
        ("psrp.example.com", Kind.CNAME): ("elsewhere.example",),
    }
    answers = {
        txt("example.com"): DnsAnswer(Lookup.FOUND, published["example.com", Kind.TXT]),
    }
    records = expected_records(as_published(DOMAIN, answers), PLATFORM)
    changes = route53_change_batch(records, published)["Changes"]
    assert {change["Action"] for change in changes} == {"UPSERT"}
    values = {
        (c["ResourceRecordSet"]["Name"], c["ResourceRecordSet"]["Type"]): [
            each["Value"] for each in c["ResourceRecordSet"]["ResourceRecords"]
        ]
        for c in changes
    }
    assert values["example.com.", "TXT"] == [
        '"site-verification=1"',
        f'"mailroom-verification {"t" * 32}"',
        '"v=spf1 mx include:spf.mail.test -all"',
    ]
    assert values["psrp.example.com.", "CNAME"] == ["rp.mail.test."]
