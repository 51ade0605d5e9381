"""Calls to tenants' servers: what comes back, and where they never go."""

import base64
import datetime
import http.server
import ipaddress
import re
import ssl
import threading
from contextlib import contextmanager, suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from mailroom.adapters.http_endpoint import MAX_ANSWER, HttpEndpoint
from mailroom.domain.destination import is_reachable
from mailroom.domain.webhook_target import UnfitTargetError, parse_target
from mailroom.ports import Answer

LOOPBACK = ("127.0.0.0/8",)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps the request and answers as the server's `script` says."""

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        self.server.requests.append((self.path, dict(self.headers), self.rfile.read(length)))
        self.server.script(self)

    def log_message(self, *_):
        pass


def ok(handler, status=200, body=b"thanks", **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def receiver(script=ok, tls=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.requests, server.script, server.stopped = [], script, threading.Event()
    server.handle_error = lambda *_: None  # a client that hangs up is what some tests are about
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def endpoint(*addresses, networks=LOOPBACK, **options):
    return HttpEndpoint(
        networks, resolve=lambda _host, _port: addresses or ("127.0.0.1",), **options
    )


def url(server, path="/hook", scheme="http", host="hook.example", user=""):
    return f"{scheme}://{user}{host}:{server.server_address[1]}{path}"


def test_the_body_arrives_as_it_is_with_the_name_in_the_host_header():
    with receiver() as server:
        answer = endpoint().post(url(server, "/a?x=1"), b"{}", {"X-One": "1"})
    assert answer == Answer(200, "thanks")
    ((path, headers, body),) = server.requests
    assert (path, body) == ("/a?x=1", b"{}")
    assert headers["Host"] == f"hook.example:{server.server_address[1]}"
    assert headers["X-One"] == "1"
    assert "Authorization" not in headers


def test_user_and_password_of_the_url_become_basic_authentication():
    with receiver() as server:
        endpoint().post(url(server, user="ann:p%40ss@"), b"{}", {})
    given_ = server.requests[0][1]["Authorization"]
    assert base64.b64decode(given_.removeprefix("Basic ")) == b"ann:p@ss"


def test_a_redirect_is_an_answer_and_not_followed():
    def elsewhere(handler):
        ok(handler, 302, b"", Location="/other")

    with receiver(elsewhere) as server:
        answer = endpoint().post(url(server), b"{}", {})
    assert (answer.status, answer.ok, len(server.requests)) == (302, False, 1)


def test_only_the_beginning_of_a_long_answer_is_read():
    with receiver(lambda handler: ok(handler, body=b"x" * 100_000)) as server:
        answer = endpoint().post(url(server), b"{}", {})
    assert answer.body == "x" * MAX_ANSWER


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "drop"), [(b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"), (HEAD, b".")]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_answer_drop_by_drop_is_cut_off_at_the_deadline(
    start, drop, scheme, certificate, serving
):
    finished = []

    def drip(handler):
        handler.wfile.write(start)
        for _ in range(80):  # fails as soon as the other side has hung up
            handler.server.stopped.wait(0.05)
            handler.wfile.write(drop)
        finished.append(True)

    trusting = ssl.create_default_context(cafile=str(certificate))
    with receiver(drip, tls=serving if scheme == "https" else None) as server:
        answer = endpoint(timeout=0.4, tls=trusting).post(url(server, scheme=scheme), b"{}", {})
        assert finished == []
    assert (answer.status, answer.problem) == (0, "the endpoint did not answer in time")


def test_silence_is_a_problem():
    with receiver(lambda handler: handler.server.stopped.wait(10)) as server:
        answer = endpoint(timeout=0.2).post(url(server), b"{}", {})
    assert answer.problem == "the endpoint did not answer in time"


def test_garbage_is_a_problem():
    with receiver(lambda handler: handler.wfile.write(b"220 smtp.example\r\n")) as server:
        answer = endpoint().post(url(server), b"{}", {})
    assert (answer.status, answer.problem) == (0, "the answer was not HTTP")


def test_hanging_up_is_a_problem():
    with receiver(lambda _: None) as server:
        answer = endpoint().post(url(server), b"{}", {})
    assert answer.status == 0
    assert answer.problem


def test_nobody_listening_is_a_problem():
    with receiver() as server:
        dead = url(server)
    assert endpoint().post(dead, b"{}", {}).problem == "the connection was refused"


def test_the_second_address_is_tried_when_the_first_refuses():
    with receiver() as server:
        assert endpoint("127.0.0.5", "127.0.0.1").post(url(server), b"{}", {}).ok


@pytest.mark.parametrize(
    "bad",
    [
        "", "hook", "ftp://h.example/", "http://", "http:///x", "http://h:99999/", "http://h:0/",
        "http://[::1/", "http://h.example/a\r\nX: 1", "http://h.example/ a", "javascript:alert(1)",
        "http://h.example:25/", "https://h.example:22/", "http://h.example:6379/",
        "http://2130706433/", "http://0177.0.0.1/", "http://0x7f.0.0.1/", "http://0x7f000001/",
        "http://127.1/", "http://127.0.0.1.5/", "http://0/", "http://1.2.3.4.5/", "http://09.1.1.1/",
        "http://\uff11\uff12\uff17.1/", "http://\u2460\u2461\u2466.0.0.1:99999/",
        "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1]x/", "http://[127.0.0.1]/",
        "http://[::ffff:127.0.0.1", "http://a..example/", "http://-a.example/", "http://.example/",
        "http://a_%00b.example/", "http://h.example\\@127.0.0.1/", f"http://{'a' * 64}.example/",
        "http://" + "a." * 127 + "example/", "http://h.example/" + "a" * 2048, "arn:aws:sns:a:1:b",
    ],
)  # fmt: skip
def test_what_is_no_http_url_is_a_problem_and_calls_nobody(bad):
    asked = []
    answer = HttpEndpoint(resolve=lambda *where: asked.append(where) or ["127.0.0.1"]).post(
        bad, b"{}", {}
    )
    assert answer.status == 0
    assert answer.problem
    assert asked == []


REFUSED = [
    "127.0.0.1", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "192.0.0.8", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1",
    "::1", "::",
    "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1",
    "2002:7f00:1::", "2001::1", "2001:db8::1", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fd00:ec2::254", "fec0::1", "ff02::1", "not an address", "",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public_are_refused(address):
    assert not is_reachable(address)
    answer = endpoint(address, networks=()).post("http://rebound.example/", b"{}", {})
    assert answer == Answer(0, problem="the host is not on the public internet")


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_not(address):
    assert is_reachable(address)


def test_an_allowed_network_opens_itself_and_nothing_else():
    assert is_reachable("127.0.0.9", LOOPBACK)
    assert not is_reachable("10.0.0.1", LOOPBACK)
    assert not is_reachable("::ffff:127.0.0.1", LOOPBACK)


@given(st.integers(0, 2**128 - 1))
def test_only_global_unicast_is_reached(number):
    address = ipaddress.IPv6Address(number)
    if is_reachable(str(address)):
        assert address.is_global
        assert address.ipv4_mapped is None
        assert address.sixtofour is None


@given(st.integers(0, 2**32 - 1))
def test_no_private_ipv4_address_is_reached(number):
    address = ipaddress.IPv4Address(number)
    if is_reachable(str(address)):
        assert address.is_global
        assert not address.is_multicast


def test_a_name_that_answers_private_beside_public_is_only_called_at_the_allowed_one():
    with receiver() as server:
        answer = endpoint("10.0.0.1", "127.0.0.1").post(url(server), b"{}", {})
    assert answer.ok


def test_a_name_that_does_not_resolve_is_a_problem():
    def unknown(_host, _port):
        raise OSError("no such host")

    answer = HttpEndpoint(resolve=unknown).post("https://nowhere.example/", b"{}", {})
    assert answer.problem == "the host name does not resolve"


@pytest.mark.parametrize(
    "literal",
    [
        "http://127.0.0.1/", "http://127.0.0.1./", "http://[::1]/", "http://[::]/",
        "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[2001::1]/",
        "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://0.0.0.0/",
        "http://100.64.0.1/", "http://224.0.0.1/", "http://10.0.0.1:8080/",
        "http://\u2460\u2461\u2466.0.0.1/", "http://127\u30020\u30020\u30021/",
        "http://user:pass@127.0.0.1/", "http://8.8.8.8@127.0.0.1/", "http://127.0.0.1#@8.8.8.8/",
        "http://LOCALHOST/", "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54/",
    ],
)  # fmt: skip
def test_an_address_written_as_host_is_checked_too(literal):
    answer = HttpEndpoint().post(literal, b"{}", {})
    assert answer == Answer(0, problem="the host is not on the public internet")


@pytest.mark.parametrize(
    ("url_", "host", "port"),
    [
        ("https://hook.example", "hook.example", 443),
        ("http://Hook.Example.:8080/x", "hook.example", 8080),
        ("https://b\u00fccher.example:8443/", "xn--bcher-kva.example", 8443),
        ("http://8.8.8.8:65535/", "8.8.8.8", 65_535),
        ("http://[2606:4700:0::1111]/", "2606:4700::1111", 80),
        ("http://a_b.example/", "a_b.example", 80),
        ("http://123.example/", "123.example", 80),
    ],
)
def test_these_hosts_and_ports_are_called(url_, host, port):
    target = parse_target(url_)
    assert (target.host, target.port) == (host, port)


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_refused(text):
    for url_ in (text, f"http://{text}", f"https://{text}/"):
        with suppress(UnfitTargetError):
            target = parse_target(url_)
            assert target.host.isascii()
            assert 0 < target.port < 65_536
            assert not re.search(r"[\x00-\x20\x7f]", target.host + target.path)


def test_a_name_server_that_is_silent_is_waited_for_no_longer_than_a_call_may_take():
    silence = threading.Event()
    waiting = HttpEndpoint(resolve=lambda *_: silence.wait(30), timeout=0.1)
    assert waiting.post("http://hook.example/", b"{}", {}).problem
    silence.set()


def test_retry_after_comes_back_as_it_was_said():
    headers = {"Retry-After": "120" + " " * 100}
    with receiver(lambda handler: ok(handler, 429, b"", **headers)) as server:
        answer = endpoint().post(url(server), b"{}", {})
    assert (answer.status, answer.retry_after.strip()) == (429, "120")
    assert len(answer.retry_after) <= 64


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for hook.example, as a file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook.example")])
    start = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hook.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "hook.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.fixture
def serving(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_tls_checks_the_name_not_the_address(certificate, serving):
    trusting = ssl.create_default_context(cafile=str(certificate))
    with receiver(tls=serving) as server:
        good = endpoint(tls=trusting).post(url(server, scheme="https"), b"{}", {})
        wrong = endpoint(tls=trusting).post(
            url(server, scheme="https", host="other.example"), b"{}", {}
        )
    assert good == Answer(200, "thanks")
    assert "certificate is not valid" in wrong.problem
    assert len(server.requests) == 1


def test_a_certificate_nobody_vouches_for_is_a_problem(serving):
    with receiver(tls=serving) as server:
        answer = endpoint().post(url(server, scheme="https"), b"{}", {})
    assert "certificate is not valid" in answer.problem
    assert server.requests == []
