"""A mailbox simulator with its DNS server, inside the test's own process."""

import base64
import json
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import aiosmtplib
import dkim
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from localstack.certificates import issue
from localstack.dns_server import Responder, ZoneFile, start_server
from localstack.simulator.hosts import special_hosts, start_hosts
from localstack.simulator.mailboxes import Mailboxes
from localstack.simulator.profiles import Certificate
from localstack.simulator.scripts import Scripts
from localstack.simulator.signatures import SignatureChecker
from localstack.simulator.smtp import World
from localstack.simulator.tls import contexts
from localstack.simulator.verdicts import Verdicts, key_source
from localstack.simulator.web import Site
from localstack.simulator.webhooks import Webhooks
from localstack.zones import profile_hosts, tenant_records, world_zone

HOSTS = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
PLAIN = b"From: a@acme.test\r\nMessage-ID: <1@acme.test>\r\nSubject: hello\r\n\r\n.dot\r\nhi\r\n"


@dataclass
class Simulator:
    smtp_port: int
    url: str
    authority: Path
    folder: Path
    zone: Path
    http: aiohttp.ClientSession

    def smtp(self, host=HOSTS[0], **how):
        how.setdefault("tls_context", self.trusting())
        return aiosmtplib.SMTP(hostname=host, port=self.smtp_port, timeout=20, **how)

    def trusting(self):
        return ssl.create_default_context(cafile=str(self.authority))

    async def get(self, path, status=200):
        async with self.http.get(self.url + path) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def post(self, path, status=200, **how):
        async with self.http.post(self.url + path, **how) as response:
            assert response.status == status, await response.text()
            return await response.read()

    async def put(self, path, status=200, **how):
        async with self.http.put(self.url + path, **how) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def delete(self, path, status=200):
        async with self.http.delete(self.url + path) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def page(self, path):
        async with self.http.get(self.url + path) as response:
            assert response.status == 200
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            return await response.text()

    async def only_message(self, to):
        found = await self.get(f"/api/messages?to={to.replace('+', '%2B')}")
        assert found["total"] == 1
        return await self.get(f"/api/messages/{found['messages'][0]['id']}")


def publish(zone, *records):
    document = json.loads(zone.read_text())
    document["records"] += records
    zone.write_text(json.dumps(document))


@asynccontextmanager
async def running_simulator(tmp_path, *, special=False):
    """DNS, MX hosts and web in this process, on free ports; `special` adds the table of hosts."""
    zone = tmp_path / "zone.json"
    zone.write_text(json.dumps(world_zone()))
    async with AsyncExitStack() as stack:
        dns = await start_server(Responder(ZoneFile(zone), None), "127.0.0.1", 0)
        stack.push_async_callback(dns.stop)
        mailboxes = Mailboxes(tmp_path)
        stack.callback(mailboxes.close)
        webhooks = Webhooks(tmp_path, SignatureChecker(tmp_path / "webhook.pem"))
        stack.callback(webhooks.close)
        verdicts = Verdicts(mailboxes, key_source("127.0.0.1", dns.port))
        stack.push_async_callback(verdicts.stop)
        scripts = Scripts()
        extra = {}
        if special:
            kinds = contexts(tmp_path / "ca", ["mx1.sim.test", *profile_hosts(), *HOSTS])
            tls = kinds[Certificate.GOOD]
            extra["special"] = special_hosts(kinds)
        else:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*issue(tmp_path / "ca", "mx", ["mx1.sim.test", *HOSTS]))
        world = World(mailboxes, verdicts, scripts)
        mx = await start_hosts(HOSTS, HOSTS[2:], 0, world, tls, **extra)
        stack.push_async_callback(mx.stop)
        runner = web.AppRunner(Site(mailboxes, verdicts, webhooks, scripts).application())
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        http = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield Simulator(mx.port, url, tmp_path / "ca" / "ca.pem", tmp_path, zone, http)


def signed(raw, key):
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    how = {"canonicalize": (b"relaxed", b"relaxed"), "include_headers": [b"from", b"subject"]}
    return dkim.sign(raw, b"postal-ABCDEF", b"acme.test", pem, **how) + raw


def public_b64(key):
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(key.public_key().public_bytes(*form)).decode()


def tenant(key):
    return tenant_records(
        "acme.test",
        selector="postal-ABCDEF",
        public_key_b64=public_b64(key),
        spf_include="spf.test",
        return_path_target="rp.test",
        tracking_target="t.test",
    )
