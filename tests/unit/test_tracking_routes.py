"""The tracking host: redirects and pixels, what counts, and what it never does."""

import base64
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_tracking.routes import PIXEL, create_app
from mail_tracking.trust import KeptTrust
from mail_tracking.visitor import visit
from mail_tracking.wiring import read_trust

from mailroom.adapters.chalice_http import http_api
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.domain.event import EventType, ViewFacts, dump_event, load_event
from mailroom.domain.message import DeliveryKey, ServerId, submission_number
from mailroom.domain.tracking_token import TrackingKey, click_token, open_token
from mailroom.domain.visit import RULES_VERSION, Verdict
from mailroom.fakes.memory import FixedChance, FixedClock, MemoryFacts
from mailroom.usecases.track import TrackPorts, Trust

SERVER = ServerId("abcdefghij")
KEY = TrackingKey("k1", b"s" * 32)
URL = "https://example.com/a?b=1&c=%20#d"
IDS = {"server": SERVER, "number": 12345, "index": 6}
DELIVERY = DeliveryKey(SERVER, 12345, 6)


class Site:
    """The tracking host with everything behind it in memory."""

    def __init__(self, trust=None, hops=0):
        self.facts = MemoryFacts()
        self.clock = FixedClock()
        self.trust = trust or (lambda: Trust({KEY.kid: KEY}))
        ports = TrackPorts(lambda: self.trust(), self.facts, self.clock, FixedChance())
        self._handler = http_api(create_app(lambda: ports, hops=lambda: hops))

    def ask(self, path, method="GET", **headers):
        return self._handler(
            {
                "version": "2.0",
                "rawPath": path,
                "rawQueryString": "",
                "headers": {name.replace("_", "-"): value for name, value in headers.items()},
                "requestContext": {
                    "http": {"method": method, "sourceIp": "192.0.2.9", "path": path},
                    "requestId": "r1",
                },
                "isBase64Encoded": False,
            },
            None,
        )


@pytest.fixture
def site():
    return Site()


def click(url=URL, key=KEY, **ids):
    return "/c/" + click_token(key, **(IDS | ids), url=url)


def pixel(**ids):
    return "/o/" + open_token(KEY, **(IDS | ids))


def test_a_click_leads_to_the_true_url_and_is_told(site):
    answer = site.ask(click(), user_agent="Browser/1")
    assert (answer["statusCode"], answer["headers"]["location"]) == (307, URL)
    assert answer["headers"]["cache-control"] == "no-store, private"
    (event,) = site.facts.published
    assert (event.type, event.key, event.at) == (EventType.CLICKED, DELIVERY, site.clock.at)
    assert event.view == ViewFacts(
        "192.0.2.9", "Browser/1", URL, "192.0.2.0/24", "person", RULES_VERSION
    )


def test_two_clicks_are_two_events(site):
    site.ask(click())
    site.ask(click())
    first, second = site.facts.published
    assert first.id != second.id
    assert first.id.startswith(f"{DELIVERY}/clicked/")


def test_an_open_is_a_pixel_and_is_told(site):
    answer = site.ask(pixel())
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, "image/gif")
    assert base64.b64decode(answer["body"]) == PIXEL
    assert PIXEL.startswith(b"GIF89a\x01\x00\x01\x00")
    assert "no-store" in answer["headers"]["cache-control"]
    (event,) = site.facts.published
    assert (event.type, event.view.url) == (EventType.OPENED, "")


@pytest.mark.parametrize("path", [click(), pixel()])
def test_head_is_answered_and_not_told(site, path):
    usual = site.ask(path)
    site.facts.published.clear()
    answer = site.ask(path, "HEAD")
    assert (answer["statusCode"], answer["headers"]) == (usual["statusCode"], usual["headers"])
    assert site.facts.published == []


@pytest.mark.parametrize("path", [click(), pixel()])
@pytest.mark.parametrize(
    "headers",
    [
        {"Purpose": "prefetch"},
        {"Sec_Purpose": "prefetch;prerender"},
        {"Sec_Purpose": "prefetch;anonymous-client-ip"},
        {"X_Moz": "prefetch"},
        {"X_Purpose": "preview"},
    ],
)
def test_what_is_fetched_ahead_is_told_as_that(site, path, headers):
    usual = site.ask(path, user_agent="Browser/1")
    answer = site.ask(path, user_agent="Browser/1", **headers)
    assert (answer["statusCode"], answer["headers"]) == (usual["statusCode"], usual["headers"])
    plain, ahead = (event.view for event in site.facts.published)
    assert (plain.verdict, plain.ahead) == ("person", False)
    assert (ahead.verdict, ahead.ahead) == ("prefetch", True)


def test_machines_are_told_apart(site):
    site.ask(pixel(), user_agent="Mozilla/5.0")
    site.ask(click(), user_agent="curl/8.11.0")
    site.ask(click())
    assert [event.view.verdict for event in site.facts.published] == [
        "machine_open", "link_scanner", "link_scanner"
    ]  # fmt: skip


def test_a_click_in_the_second_of_acceptance_is_no_persons(site):
    number = submission_number(site.clock.at, 0)
    site.ask(click(number=number), user_agent="Browser/1")
    site.clock.at += 5
    site.ask(click(number=number), user_agent="Browser/1")
    assert [event.view.verdict for event in site.facts.published] == ["link_scanner", "person"]


@pytest.mark.parametrize("path", [click(), pixel()])
def test_of_a_private_servers_readers_no_address_leaves_the_process(site, path):
    agent = "Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/132.0"
    site.trust = lambda: Trust({KEY.kid: KEY}, private=frozenset({SERVER}))
    site.ask(path, user_agent=agent)
    (event,) = site.facts.published
    view = event.view
    assert (view.ip_address, view.network) == ("", "192.0.2.0/24")
    assert (view.user_agent, view.verdict) == ("Firefox", "person")
    assert "192.0.2.9" not in json.dumps(dump_event(event))


@pytest.mark.parametrize(
    ("agent", "verdict"), [("Mozilla/5.0", "machine_open"), ("Wget/1.21", "link_scanner")]
)
def test_privacy_does_not_change_who_it_was(site, agent, verdict):
    site.trust = lambda: Trust({KEY.kid: KEY}, private=frozenset({SERVER}))
    site.ask(pixel(), user_agent=agent)
    assert site.facts.published[0].view.verdict == verdict


@settings(max_examples=100)
@given(
    agent=st.binary(max_size=600).map(lambda raw: raw.decode("latin-1")) | st.text(max_size=600),
    purpose=st.text(max_size=40),
    address=st.text(max_size=20) | st.ip_addresses().map(str),
    private=st.booleans(),
)
def test_no_header_of_any_octets_stops_a_redirect(agent, purpose, address, private):
    site = Site(hops=1)
    site.trust = lambda: Trust({KEY.kid: KEY}, private=frozenset({SERVER} if private else ()))
    answer = site.ask(
        click(), user_agent=agent, sec_purpose=purpose, x_forwarded_for=f"{address}, 192.0.2.9"
    )
    assert (answer["statusCode"], answer["headers"]["location"]) == (307, URL)
    (event,) = site.facts.published
    assert load_event(json.loads(json.dumps(dump_event(event)))) == event
    assert Verdict(event.view.verdict)


def tampered():
    token = click().removeprefix("/c/")
    for position in range(0, len(token), 7):
        other = "A" if token[position] != "A" else "B"
        yield token[:position] + other + token[position + 1 :]
    yield from ("", "k1.", "x", "k1." + "A" * 40, token + "A", token[:-1], "https://evil.example")


@pytest.mark.parametrize("token", [*tampered(), open_token(KEY, **IDS)])
def test_what_is_no_click_token_of_ours_is_not_found_and_leads_nowhere(site, token):
    answer = site.ask(f"/c/{token}")
    assert answer["statusCode"] == 404
    assert "location" not in answer["headers"]
    assert site.facts.published == []


@pytest.mark.parametrize("token", ["x", click().removeprefix("/c/")])
def test_what_is_no_open_token_of_ours_is_no_pixel(site, token):
    assert site.ask(f"/o/{token}")["statusCode"] == 404
    assert site.facts.published == []


def test_a_key_that_is_not_ours_opens_nothing(site):
    stranger = TrackingKey("k1", b"t" * 32)
    assert site.ask(click(key=stranger))["statusCode"] == 404


@pytest.mark.parametrize("path", [click(), pixel()])
def test_a_blocked_server_is_neither_redirected_nor_counted(site, path):
    site.trust = lambda: Trust({KEY.kid: KEY}, servers=frozenset({SERVER}))
    answer = site.ask(path)
    assert answer["statusCode"] == 404
    assert "location" not in answer["headers"]
    assert site.facts.published == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/", "https://EVIL.example", "https://a.evil.example:8443/x",
        "https://user@evil.example./", "https://ev%69l.example/", "https://\uff45vil.example/",
        "https://evil\u3002example/",
    ],
)  # fmt: skip
def test_a_blocked_link_host_is_blocked_however_it_is_spelled(site, url):
    site.trust = lambda: Trust({KEY.kid: KEY}, hosts=frozenset({"evil.example"}))
    assert site.ask(click(url))["statusCode"] == 404
    assert site.ask(click("https://notevil.example/"))["statusCode"] == 307


def test_a_topic_in_trouble_loses_the_event_aloud_and_not_the_reader(site, capsys):
    site.facts.broken = True
    assert site.ask(click())["statusCode"] == 307
    assert site.ask(pixel())["statusCode"] == 200
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    lost = [line for line in lines if line["event"] == "view_lost"]
    assert [(line["lost"], line["type"]) for line in lost] == [(1, "clicked"), (1, "opened")]


def test_one_log_line_a_request(site, capsys):
    site.ask(click())
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "text"), [("/", "Hello."), ("/health", "OK"), ("/robots.txt", "Disallow: /")]
)
def test_plain_pages(site, path, text):
    answer = site.ask(path)
    assert answer["statusCode"] == 200
    assert text in answer["body"]
    assert site.ask(path, "HEAD")["body"] == ""


def test_a_user_agent_is_kept_up_to_500_characters(site):
    site.ask(click(), user_agent="x" * 5_000)
    assert len(site.facts.published[0].view.user_agent) == 500


@pytest.mark.parametrize(
    ("forwarded", "hops", "expected"),
    [
        ("203.0.113.5", 0, "192.0.2.9"),  # anybody can write that
        ("203.0.113.5", 1, "203.0.113.5"),
        ("1.1.1.1, 203.0.113.5, 192.0.2.9", 1, "203.0.113.5"),  # the gateway added the last
        ("1.1.1.1, 203.0.113.5, 198.51.100.7, 192.0.2.9", 2, "203.0.113.5"),
        ("nonsense, 192.0.2.9", 1, "192.0.2.9"),
        ("", 1, "192.0.2.9"),
        ("203.0.113.5", 2, "192.0.2.9"),
    ],
)
def test_only_our_own_proxies_are_believed(forwarded, hops, expected):
    seen = visit("GET", {"x-forwarded-for": forwarded}, "192.0.2.9", hops=hops)
    assert seen.ip_address == expected


class CountingRows:
    """The directory table's model, reduced to what the directory asks it for, counting reads."""

    class DoesNotExist(Exception):  # noqa: N818  # pynamodb's name
        pass

    class sk:  # noqa: N801  # stands for the attribute
        @staticmethod
        def startswith(prefix):
            return prefix

    class _Key:
        sk = f"key#tracking#{KEY.kid}"
        wrapped = b"wrapped"
        json = '{"public": "", "created_at": 1}'

    def __init__(self):
        self.reads = 0
        self.trouble = False
        self.blocked = []
        self.private = set()

    def get(self, _pk, _sk):
        self._count()
        row = self._Key()
        row.json = json.dumps({"servers": self.blocked, "hosts": []})
        return row

    def query(self, _pk, prefix):
        self._count()
        if prefix == "private":
            return [SimpleNamespace(sk=f"private#{server}") for server in self.private]
        return [self._Key()]

    def _count(self):
        self.reads += 1
        if self.trouble:
            raise ConnectionError("no table")


class OpenKeyring:
    def unwrap(self, _wrapped, _owner):
        return KEY.secret


@pytest.fixture
def counted(site):
    rows = CountingRows()
    directory = DynamoDirectory(rows, site.clock, OpenKeyring())
    site.trust = KeptTrust(lambda: read_trust(directory), site.clock, (ConnectionError,))
    return site, rows


def test_a_redirect_reads_no_table(counted):
    site, rows = counted
    for _ in range(200):
        assert site.ask(click())["statusCode"] == 307
    assert rows.reads == 3  # keys, block list and private servers, once


def test_the_block_list_works_within_a_minute(counted):
    site, rows = counted
    assert site.ask(click())["statusCode"] == 307
    rows.blocked = [SERVER]
    site.clock.at += 60
    assert site.ask(click())["statusCode"] == 404


def test_the_privacy_setting_works_within_a_minute(counted):
    site, rows = counted
    site.ask(click())
    rows.private = {SERVER}
    site.clock.at += 60
    site.ask(click())
    assert [event.view.ip_address for event in site.facts.published] == ["192.0.2.9", ""]


def test_a_table_out_of_reach_does_not_stop_the_redirects(counted):
    site, rows = counted
    site.ask(click())
    rows.trouble = True
    site.clock.at += 60
    assert [site.ask(click())["statusCode"] for _ in range(50)] == [307] * 50
    assert rows.reads == 4  # one try, then none for a while
    rows.trouble, rows.blocked = False, [SERVER]
    site.clock.at += 10
    assert site.ask(click())["statusCode"] == 404


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("tracking", ["handler"]),
        ("webhooks", ["publish", "record", "fan_out", "deliver"]),
        ("scheduler", ["tick"]),
    ],
)
def test_importing_a_function_needs_no_environment_and_no_aws(function, names):
    folder = Path(importlib.util.find_spec("mail_tracking").origin).parents[2] / function
    code = (
        f"import sys; sys.path[:0] = [{str(folder)!r}, {str(folder.parents[1])!r}]\n"
        f"import app\nassert all(callable(getattr(app, name)) for name in {names})\n"
        "assert not {'pynamodb', 'boto3'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
