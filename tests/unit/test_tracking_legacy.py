"""Links and pixels of mail that Postal sent: imported, asked of the old host, or not there."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mail_tracking.routes import PIXEL, create_app

from mailroom.adapters.chalice_http import http_api
from mailroom.domain.legacy_link import LegacyHost, LegacyLink, is_legacy
from mailroom.domain.message import ServerId
from mailroom.domain.tracking_token import TrackingKey, click_token
from mailroom.fakes.legacy_links import MemoryLegacyLinks
from mailroom.fakes.memory import FixedChance, FixedClock, MemoryFacts
from mailroom.settings import SettingsError, load_settings
from mailroom.usecases.track import TrackPorts, Trust
from mailroom.usecases.track_legacy import LegacyPorts

KEY = TrackingKey("k1", b"s" * 32)
LINK = LegacyLink("abc123", "AbCd5678EfGh9012", "https://shop.example/?a=1&b=%20#c")
OLD = "https://track.old.example"


class Site:
    """The tracking host, with old links in memory."""

    def __init__(self, *, host=True, blocked=()):
        self.clock, self.facts = FixedClock(), MemoryFacts()
        self.links = MemoryLegacyLinks(self.clock)
        trust = Trust({KEY.kid: KEY}, hosts=frozenset(blocked))
        ports = TrackPorts(lambda: trust, self.facts, self.clock, FixedChance())
        old = LegacyHost(OLD, self.clock.at + 100) if host else None
        legacy = LegacyPorts(self.links, lambda: trust, self.clock, old)
        app = create_app(lambda: ports, hops=lambda: 0, legacy=lambda: legacy)
        self._handler = http_api(app)

    def ask(self, path, method="GET"):
        return self._handler(
            {
                "rawPath": path,
                "rawQueryString": "src=x",
                "headers": {"host": "evil.example", "x-forwarded-host": "evil.example"},
                "requestContext": {"http": {"method": method, "sourceIp": "192.0.2.9"}},
            },
            None,
        )

    def leads(self, path, method="GET"):
        answer = self.ask(path, method)
        return answer["statusCode"], answer["headers"].get("location")


def test_a_link_that_was_imported_leads_on_whether_or_not_the_old_host_is_there():
    for host in (True, False):
        site = Site(host=host)
        site.links.put([LINK], until=site.clock.at + 10)
        assert site.leads(f"/{LINK.server}/{LINK.token}") == (307, LINK.url)
        assert site.leads(f"/{LINK.server}/{LINK.token}", "HEAD") == (307, LINK.url)
        assert site.facts.published == []


def test_other_paths_of_postals_form_are_asked_of_the_old_host_until_the_day():
    site = Site()
    assert site.leads("/abc123/AbCd5678") == (307, f"{OLD}/abc123/AbCd5678")
    assert site.leads("/img/abc123/AbCd5678") == (307, f"{OLD}/img/abc123/AbCd5678")
    site.clock.at += 100
    assert site.leads("/abc123/AbCd5678") == (404, None)
    assert site.ask("/img/abc123/AbCd5678")["statusCode"] == 200


def test_without_an_old_host_a_pixel_is_ours_and_an_unknown_link_is_not_found():
    site = Site(host=False)
    answer = site.ask("/img/abc123/AbCd5678EfGh9012")
    assert base64.b64decode(answer["body"]) == PIXEL
    assert "no-store" in answer["headers"]["cache-control"]
    assert site.leads("/abc123/AbCd5678") == (404, None)


def test_an_expired_link_is_asked_of_the_old_host_again():
    site = Site()
    site.links.put([LINK], until=site.clock.at + 10)
    site.clock.at += 11
    assert site.leads(f"/{LINK.server}/{LINK.token}")[1] == f"{OLD}/abc123/{LINK.token}"


def test_made_up_paths_of_servers_without_links_read_nothing():
    site = Site(host=False)
    site.links.put([LINK], until=site.clock.at + 10)
    for number in range(50):
        site.ask(f"/zzz{number:03d}/AbCd5678")
    assert site.links.reads == 0


def test_a_blocked_host_is_blocked_for_old_links_too():
    site = Site(blocked=["shop.example"])
    site.links.put([LINK], until=site.clock.at + 10)
    assert site.leads(f"/{LINK.server}/{LINK.token}") == (404, None)


def test_our_own_paths_are_ours():
    site = Site()
    token = click_token(KEY, server=ServerId("abcdefghij"), number=5, index=0, url=LINK.url)
    assert site.leads(f"/c/{token}") == (307, LINK.url)
    assert site.leads("/c/AbCd5678") == (404, None)
    assert site.leads("/o/AbCd5678") == (404, None)
    assert site.ask("/")["body"] == "Hello."


@pytest.mark.parametrize(
    "path",
    [
        "/abc123/short", "/abc12/AbCd5678", "/abc123/AbCd5678EfGh90123", "/abc1234/AbCd5678",
        "/abc123/AbCd%2F678", "/abc123/..%2f..%2fx", "/abc123/AbCd567%0a", "/img/abc123/x",
        "/img/abc12/AbCd5678", "/abc123/AbCd5678/more", "/img/abc123/AbCd5678/x", "/@evil/AbCd5678",
    ],
)  # fmt: skip
def test_what_postal_never_wrote_leads_nowhere(path):
    assert Site().leads(path) == (404, None)


@given(st.text(max_size=12), st.text(max_size=20))
def test_only_letters_and_digits_ever_reach_the_old_host(server, token):
    if is_legacy(server, token):
        assert (server + token).isascii()
        assert (server + token).isalnum()


@pytest.mark.parametrize(
    "origin",
    ["", "track.old.example", "ftp://old.example", "https://", "https://a@b", "https://old/x",
     "https://old?x", "https://old\n", "javascript:alert(1)", "https://OLD example"],
)  # fmt: skip
def test_an_old_host_is_an_http_origin_and_nothing_else(origin):
    with pytest.raises(ValueError, match="origin"):
        LegacyHost(origin, 1.0)


@pytest.mark.parametrize(
    ("server", "token", "url"),
    [
        ("abc123", "AbCd5678", "javascript:alert(1)"),
        ("abc123", "AbCd5678", "https://shop.example/" + "x" * 8_000),
        ("abc12", "AbCd5678", "https://shop.example/"),
        ("abc123", "x", "https://shop.example/"),
    ],
)
def test_a_link_is_one_of_postals_to_a_web_page(server, token, url):
    with pytest.raises(ValueError, match=r"tokens|redirected"):
        LegacyLink(server, token, url)


def variables(host, until):
    return {"MAILROOM_LEGACY_TRACKING_HOST": host, "MAILROOM_LEGACY_TRACKING_UNTIL": until}


@pytest.mark.parametrize("until", ["2027-01-01", "2027-01-01T00:00:00Z", "2027-01-01T01:00+01:00"])
def test_the_old_host_is_a_setting_with_its_day(until):
    found = load_settings(variables(OLD + "/", until)).legacy_tracking
    assert found == LegacyHost(OLD, 1_798_761_600.0)


def test_without_the_settings_there_is_no_old_host():
    assert load_settings({}).legacy_tracking is None
    assert load_settings(variables("", "")).legacy_tracking is None


@pytest.mark.parametrize(
    ("host", "until"), [(OLD, ""), ("", "2027-01-01"), (OLD, "soon"), ("ftp://x", "2027-01-01")]
)
def test_a_setting_that_cannot_be_used_is_named(host, until):
    with pytest.raises(SettingsError, match="MAILROOM_LEGACY_TRACKING_UNTIL"):
        load_settings(variables(host, until))
