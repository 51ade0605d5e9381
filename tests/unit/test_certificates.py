import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from localstack.certificates import ensure_authority, issue

NAMES = ["mx.sim.test", "127.0.0.2"]


def test_a_host_certificate_is_signed_by_the_authority_and_names_hosts_and_addresses(tmp_path):
    authority = ensure_authority(tmp_path)
    certificate, _ = issue(tmp_path, "mx", NAMES)

    issued = x509.load_pem_x509_certificate(certificate.read_bytes())
    issued.verify_directly_issued_by(
        x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    )
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mx.sim.test"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.2"]
    assert issued.not_valid_before_utc < datetime.now(UTC)
    assert issued.not_valid_after_utc - issued.not_valid_before_utc == timedelta(days=825)


def test_openssl_takes_the_pair_and_the_authority(tmp_path):
    certificate, key = issue(tmp_path, "mx", NAMES)

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(ensure_authority(tmp_path).certificate))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    us = client.wrap_bio(incoming, outgoing, server_hostname="mx.sim.test")
    them = server.wrap_bio(outgoing, incoming, server_side=True)
    for side in (us, them, us):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert us.version() == "TLSv1.3"


def test_keys_are_for_their_owner_only(tmp_path):
    _, key = issue(tmp_path, "mx", NAMES)

    assert key.stat().st_mode & 0o777 == 0o600
    assert ensure_authority(tmp_path).key.stat().st_mode & 0o777 == 0o600


def test_what_is_good_is_kept(tmp_path):
    before = [path.read_bytes() for path in issue(tmp_path, "mx", NAMES)]

    assert [path.read_bytes() for path in issue(tmp_path, "mx", NAMES)] == before


@pytest.mark.parametrize("days_later", [800, 5000])
def test_what_is_about_to_expire_is_made_anew(tmp_path, days_later):
    before = issue(tmp_path, "mx", NAMES)[0].read_bytes()
    later = datetime.now(UTC) + timedelta(days=days_later)

    certificate, _ = issue(tmp_path, "mx", NAMES, now=later)

    assert certificate.read_bytes() != before
    assert x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc > later


def test_other_names_or_a_damaged_file_make_a_new_one(tmp_path):
    first = issue(tmp_path, "mx", NAMES)[0].read_bytes()
    second = issue(tmp_path, "mx", [*NAMES, "mx2.sim.test"])[0].read_bytes()
    (tmp_path / "mx.key").write_text("rubbish")
    third = issue(tmp_path, "mx", [*NAMES, "mx2.sim.test"])[0].read_bytes()

    assert len({first, second, third}) == 3


def test_a_lost_authority_makes_all_certificates_new(tmp_path):
    before = issue(tmp_path, "mx", NAMES)[0].read_bytes()
    (tmp_path / "ca.key").unlink()

    assert issue(tmp_path, "mx", NAMES)[0].read_bytes() != before


@pytest.mark.parametrize(
    ("name", "sans"), [("", NAMES), ("../x", NAMES), ("ca", NAMES), ("mx", [])]
)
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name, sans):
    with pytest.raises(ValueError, match="plain name"):
        issue(tmp_path, name, sans)
