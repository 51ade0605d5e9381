"""A DKIM verifier that is not ours and not Python looks at what the platform delivered."""

import subprocess
from collections.abc import Callable
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path

import dns.resolver
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.sample import message
from tests.support.customer import Customer, wait_for
from tests.support.simulator_stand import public_b64

pytestmark = [pytest.mark.peers, pytest.mark.stack]


def opendkim_says(raw: bytes, folder: Path, keys: str) -> str:
    """What `opendkim -t` says about a message; `keys` has lines of owner name and TXT record."""
    (folder / "message").write_bytes(raw)
    (folder / "keys").write_text(keys)
    (folder / "conf").write_text(
        f"Mode v\nTestPublicKeys {folder / 'keys'}\nRequireSafeKeys no\nSyslog no\n"
    )
    command = ["opendkim", "-x", str(folder / "conf"), "-t", str(folder / "message")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout + done.stderr


def published_key(customer: Customer, raw: bytes) -> str:
    """The key the signature names, asked from the platform's DNS server."""
    field = str(BytesHeaderParser(policy=default).parsebytes(raw)["DKIM-Signature"])
    tags = dict(tag.strip().split("=", 1) for tag in field.split(";") if "=" in tag)
    name = f"{tags['s']}._domainkey.{tags['d']}"
    resolver = dns.resolver.Resolver(configure=False)
    host, port = customer.status["dns"].split(":")
    resolver.nameservers, resolver.port = [host], int(port)
    record = next(iter(resolver.resolve(name, "TXT")))
    return f"{name} {b''.join(record.strings).decode()}\n"


def delivered(customer: Customer, to: str) -> bytes:
    found = wait_for(lambda: customer.mailbox(to), what=f"mail to {to}")
    url = f"{customer.status['simulator_url']}/api/messages/{found[0]['id']}/raw"
    return customer.http(url).body


def by_api(customer: Customer, to: str) -> None:
    customer.send(
        [to],
        subject="Grüße, dear reader",
        plain_body="See https://example.com/a\n.\n  indented   text \n\n\n",
        html_body='<p>See <a href="https://example.com/b?x=1&amp;y=2">this</a></p>',
        attachments=[{"name": "a.txt", "content_type": "text/plain", "data": "aGVsbG8K"}],
    )


def by_smtp(customer: Customer, to: str) -> None:
    with customer.smtp() as session:
        session.sendmail(customer.sender, [to], message(customer.sender))


@pytest.mark.parametrize("door", [by_api, by_smtp])
def test_delivered_mail_passes_and_a_changed_copy_fails(
    door: Callable[[Customer, str], None],
    customer: Customer,
    recipient: str,
    needs: Callable[..., None],
    tmp_path: Path,
) -> None:
    needs("opendkim")
    door(customer, recipient)
    raw = delivered(customer, recipient)
    keys = published_key(customer, raw)
    assert "succeeded" in opendkim_says(raw, tmp_path, keys)
    head, blank, body = raw.partition(b"\r\n\r\n")
    for changed in (
        head + blank + body.replace(b"e", b"a", 1),
        head.replace(b"Subject: ", b"Subject: Not ", 1) + blank + body,
        b"From: somebody@else.test\r\n" + raw,
    ):
        assert changed != raw
        assert "failed" in opendkim_says(changed, tmp_path, keys)


def test_another_key_in_dns_fails(
    customer: Customer, recipient: str, needs: Callable[..., None], tmp_path: Path
) -> None:
    needs("opendkim")
    by_api(customer, recipient)
    raw = delivered(customer, recipient)
    name = published_key(customer, raw).split()[0]
    keys = f"{name} v=DKIM1; p={public_b64(rsa.generate_private_key(65537, 2048))}\n"
    assert "failed" in opendkim_says(raw, tmp_path, keys)
