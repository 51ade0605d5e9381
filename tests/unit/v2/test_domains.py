"""Sending domains and tracking domains over the API."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailroom.adapters.dkim_keys import CryptographyDkimKeys
from mailroom.domain.dns.spelling import domain_pk, load_domain
from mailroom.domain.message import Domain
from mailroom.domain.tenancy.record import Place
from mailroom.usecases.domain_checks import DomainPorts
from tests.support.management import Management, Told


class Stand:
    """A platform with one server, and a tenant who publishes what he is told."""

    def __init__(self) -> None:
        self.platform = Management()
        self.organisation = self.platform.organisation()
        self.server = self.platform.server(self.organisation)
        self.key = self.platform.organisation_key(self.organisation)
        self.path = f"/servers/{self.server}/domains"

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Told:
        return self.platform.ask(method, path, body, **{"key": self.key, **options})

    def domain(self, name: str = "example.com", **fields: Any) -> Any:
        told = self.ask("POST", self.path, {"name": name, **fields})
        assert told.status == 201, told
        return told.json

    def one(self, domain: Any, rest: str = "") -> str:
        return f"{self.path}/{domain['id']}{rest}"

    def publish(self, domain: Any) -> None:
        """Paste the records of the API into the DNS."""
        dns = self.ask("GET", self.one(domain, "/dns")).json
        found: dict[tuple[str, str], list[str]] = {}
        for record in dns["records"]:
            found.setdefault((record["name"], record["type"]), []).append(record["value"])
        for (name, kind), values in found.items():
            self.platform.names.publish(name, kind, *values)

    def runtime(self, domain: Any) -> Domain:
        owner = f"server#{self.server}"
        record = self.platform.registry.read(Place(domain_pk(domain["name"]), owner))
        assert record is not None
        return load_domain(domain["name"], owner, dict(record.body), record.secret)


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_a_domain_is_made_published_checked_and_sends(stand: Stand) -> None:
    domain = stand.domain("Example.COM")
    assert domain["name"] == "example.com"
    assert (domain["verified_at"], domain["dns_state"]) == (None, "unknown")
    assert [key["state"] for key in domain["keys"]] == ["active"]
    dns = stand.ask("GET", stand.one(domain, "/dns")).json
    assert (dns["checked_at"], {each["state"] for each in dns["records"]}) == (None, {"unknown"})
    told = stand.ask("POST", stand.one(domain, "/verify"))
    assert (told.status, told.json["error"]["code"]) == (422, "domain_conflict")
    stand.publish(domain)
    assert stand.ask("POST", stand.one(domain, "/verify")).json["verified_by"] == "dns"
    checked = stand.ask("POST", stand.one(domain, "/check")).json
    assert checked["state"] == "ok"
    assert {each["state"] for each in checked["records"]} == {"ok"}
    assert all(each["reason"].endswith(".") for each in checked["records"])
    assert checked == stand.ask("GET", stand.one(domain, "/dns")).json
    found = stand.runtime(domain)
    assert found.verified
    assert found.return_path_ok
    listed = stand.ask("GET", stand.path).json["data"]
    assert [each["dns_state"] for each in listed] == ["ok"]


def test_no_answer_shows_a_private_key(stand: Stand) -> None:
    domain = stand.domain()
    for told in (
        stand.ask("GET", stand.one(domain)),
        stand.ask("GET", stand.path),
        stand.ask("GET", stand.one(domain, "/dns")),
        stand.ask("GET", f"/organisations/{stand.organisation}/audit"),
    ):
        assert told.status == 200
        assert "wrapped" not in told.text
        assert "rsa 2048" not in told.text


def test_records_as_a_zone_file_and_a_change_batch(stand: Stand) -> None:
    domain = stand.domain()
    told = stand.ask("GET", stand.one(domain, "/dns/zone"))
    assert told.headers["content-type"] == "text/plain; charset=utf-8"
    assert 'example.com. 3600 IN TXT "mailroom-verification ' in told.text
    assert "psrp.example.com. 3600 IN CNAME rp.mail.test." in told.text
    stand.platform.names.publish("example.com", "TXT", "other=1", "v=spf1 mx -all")
    batch = stand.ask("GET", stand.one(domain, "/dns/route53")).json
    apex = batch["Changes"][0]
    assert apex["Action"] == "UPSERT"
    assert [each["Value"] for each in apex["ResourceRecordSet"]["ResourceRecords"]] == [
        '"other=1"',
        f'"mailroom-verification {domain["token"]}"',
        '"v=spf1 mx include:spf.mail.test -all"',
    ]
    stand.platform.names.broken = {"example.com"}
    batch = stand.ask("GET", stand.one(domain, "/dns/route53")).json
    assert {change["Action"] for change in batch["Changes"]} == {"CREATE"}


def test_spf_that_is_published_is_merged_after_a_check(stand: Stand) -> None:
    domain = stand.domain()
    stand.platform.names.publish("example.com", "TXT", "v=spf1 include:other.test ?all")
    checked = stand.ask("POST", stand.one(domain, "/check")).json
    spf = next(each for each in checked["records"] if each["purpose"] == "spf")
    assert spf["state"] == "invalid"
    assert spf["found"] == ["v=spf1 include:other.test ?all"]
    assert spf["value"] == "v=spf1 include:other.test include:spf.mail.test ?all"


def test_a_policy_of_the_organisation_is_not_weakened(stand: Stand) -> None:
    stand.platform.names.publish("_dmarc.example.com", "TXT", "v=DMARC1; p=reject")
    domain = stand.domain("news.example.com")
    batch = stand.ask("GET", stand.one(domain, "/dns/route53")).json
    values = [str(c["ResourceRecordSet"]["ResourceRecords"]) for c in batch["Changes"]]
    assert any("p=reject" in value for value in values)
    assert not any("p=none" in value for value in values)


def test_keys_rotate_join_retire_and_go(stand: Stand) -> None:
    domain = stand.domain()
    first = domain["keys"][0]["selector"]
    told = stand.ask("POST", stand.one(domain, "/keys"), {"bits": 4096})
    second = told.json["keys"][1]
    assert (second["bits"], second["state"]) == (4096, "pending")
    told = stand.ask("POST", stand.one(domain, "/keys"), {"kind": "ed25519"})
    third = told.json["keys"][2]["selector"]
    told = stand.ask("POST", stand.one(domain, f"/keys/{third}/activate"))
    assert (told.status, told.json["error"]["code"]) == (422, "domain_conflict")
    stand.publish(domain)
    for selector in (second["selector"], third):
        told = stand.ask("POST", stand.one(domain, f"/keys/{selector}/activate"))
        assert told.status == 200, told
    states = {key["selector"]: key["state"] for key in told.json["keys"]}
    assert states == {first: "retired", second["selector"]: "active", third: "active"}
    retired = told.json["keys"][0]
    assert retired["removable_at"] == retired["since"] + 14 * 86_400
    found = stand.runtime(domain)
    assert [found.selector, found.more_keys[0].selector] == [second["selector"], third]
    assert stand.ask("POST", stand.one(domain, f"/keys/{third}/retire")).status == 200
    assert stand.ask("DELETE", stand.one(domain, f"/keys/{second['selector']}")).status == 422
    told = stand.ask("DELETE", stand.one(domain, f"/keys/{first}"))
    assert [key["selector"] for key in told.json["keys"]] == [second["selector"], third]


def pem(bits: int = 1024) -> str:
    key = rsa.generate_private_key(65_537, bits)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def with_real_keys(stand: Stand) -> None:
    ports = stand.platform.domains
    names = [name for name in ports.__slots__ if name != "keys"]
    real = DomainPorts(
        **{name: getattr(ports, name) for name in names}, keys=CryptographyDkimKeys()
    )
    stand.platform.areas["domains"] = lambda: real


def test_a_domain_moves_here_from_postal_without_touching_its_dns(stand: Stand) -> None:
    with_real_keys(stand)
    body = {
        "name": "example.com",
        "verification_prefix": "postal-verification",
        "token": "A" * 32,
        "verified": True,
        "key": {"selector": "postal-ABCDEF", "private_key": pem(), "from_postal": True},
    }
    told = stand.ask("POST", stand.path, body)
    assert (told.status, told.json["error"]["code"]) == (403, "forbidden")
    domain = stand.platform.made(stand.path, body)
    assert domain["verified_by"] == "platform"
    records = stand.ask("GET", stand.one(domain, "/dns")).json["records"]
    values = {record["purpose"]: record["value"] for record in records}
    assert values["ownership"] == "postal-verification " + "A" * 32
    assert values["dkim"] == f"v=DKIM1; t=s; h=sha256; p={domain['keys'][0]['public']};"


def test_keys_that_cannot_sign_are_refused(stand: Stand) -> None:
    with_real_keys(stand)
    domain = stand.domain()
    for key, status, code in (
        ({"selector": "a", "private_key": "junk"}, 422, "key_unfit"),
        ({"selector": "a b", "private_key": pem()}, 422, "validation_failed"),
        ({"selector": "a", "private_key": "x" * 20_000}, 422, "validation_failed"),
        ({"selector": "mine", "private_key": pem()}, 200, None),
        ({"selector": "MINE", "private_key": pem()}, 422, "domain_conflict"),
    ):
        told = stand.ask("POST", stand.one(domain, "/keys/import"), key)
        assert told.status == status, told
        if code:
            assert told.json["error"]["code"] == code


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "name"),
        ({"name": "localhost"}, "name"),
        ({"name": "192.0.2.1"}, "name"),
        ({"name": "a.example", "wrapped": "x"}, "wrapped"),
        ({"name": "a.example", "return_path_label": "a.b"}, "return_path_label"),
        ({"name": "a.example", "verification_prefix": "v=spf1 "}, "verification_prefix"),
        ({"name": "a.example", "key_bits": 1024}, "key_bits"),
        ({"name": "a.example", "keys": []}, "keys"),
        ({"name": "a.example", "verified_at": 1.0}, "verified_at"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(
    stand: Stand, body: dict[str, Any], path: str
) -> None:
    told = stand.ask("POST", stand.path, body)
    assert told.status == 422
    assert path in [each["path"] for each in told.json["error"]["fields"]]


def test_a_taken_name_is_a_conflict_and_free_again_after_deletion(stand: Stand) -> None:
    domain = stand.domain()
    told = stand.ask("POST", stand.path, {"name": "EXAMPLE.com"})
    assert (told.status, told.json["error"]["fields"][0]["path"]) == (409, "name")
    shared = f"/organisations/{stand.organisation}/domains"
    assert stand.ask("POST", shared, {"name": "example.com"}).status == 201
    assert stand.ask("DELETE", stand.one(domain)).status == 204
    again = stand.domain()
    told = stand.ask("POST", stand.one(domain, "/restore"))
    assert told.status == 409
    assert stand.ask("DELETE", stand.one(again)).status == 204
    told = stand.ask("POST", stand.one(domain, "/restore"))
    assert (told.status, told.json["token"]) == (200, domain["token"])


def test_another_return_path_waits_until_it_is_seen(stand: Stand) -> None:
    domain = stand.domain()
    stand.publish(domain)
    stand.ask("POST", stand.one(domain, "/check"))
    assert stand.runtime(domain).return_path_ok
    told = stand.ask("PATCH", stand.one(domain), {"return_path_label": "bounce"})
    assert (told.json["return_path_label"], told.json["return_path_ok"]) == ("bounce", False)
    stand.publish(domain)
    stand.ask("POST", stand.one(domain, "/check"))
    found = stand.runtime(domain)
    assert (found.return_path, found.return_path_ok) == ("bounce.example.com", True)


def test_an_old_revision_changes_nothing(stand: Stand) -> None:
    domain = stand.domain()
    stale = {"if-match": '"7"'}
    told = stand.ask("PATCH", stand.one(domain), {"receives": True}, headers=stale)
    assert told.status == 412
    assert stand.ask("POST", stand.one(domain, "/keys"), {}, headers=stale).status == 412


def test_a_tracking_domain_is_used_once_it_leads_here(stand: Stand) -> None:
    path = f"/servers/{stand.server}/tracking-domains"
    made = stand.ask("POST", path, {"name": "click.example.com"}).json
    told = stand.ask("POST", f"{path}/{made['id']}/use")
    assert (told.status, told.json["error"]["code"]) == (422, "domain_conflict")
    stand.platform.names.publish("click.example.com", "CNAME", "track.mail.test")
    checked = stand.ask("POST", f"{path}/{made['id']}/check").json
    assert (checked["state"], checked["records"][0]["value"]) == ("ok", "track.mail.test")
    assert stand.ask("POST", f"{path}/{made['id']}/use").status == 200
    row = stand.platform.registry.read(Place(f"server#{stand.server}"))
    assert row is not None
    assert row.body["tracking"]["base_url"] == "https://click.example.com"
    told = stand.ask("DELETE", f"{path}/{made['id']}")
    assert (told.status, told.json["error"]["code"]) == (422, "domain_conflict")
    assert stand.ask("POST", f"/servers/{stand.server}/leave-tracking-domain").status == 200
    row = stand.platform.registry.read(Place(f"server#{stand.server}"))
    assert row is not None
    assert row.body["tracking"]["base_url"] == "https://track.mail.test"
    assert stand.ask("DELETE", f"{path}/{made['id']}").status == 204
    assert stand.ask("POST", f"{path}/{made['id']}/restore").status == 200


def test_an_organisations_tracking_domain_is_for_all_its_servers(stand: Stand) -> None:
    path = f"/organisations/{stand.organisation}/tracking-domains"
    made = stand.ask("POST", path, {"name": "t.example.com", "secure": False}).json
    stand.platform.names.publish("t.example.com", "CNAME", "track.mail.test")
    stand.ask("POST", f"{path}/{made['id']}/check")
    use = f"/servers/{stand.server}/tracking-domains/{made['id']}/use"
    assert stand.ask("POST", use).status == 200
    row = stand.platform.registry.read(Place(f"server#{stand.server}"))
    assert row is not None
    assert row.body["tracking"]["base_url"] == "http://t.example.com"
