"""Settings: read once, refused by name."""

import pytest

from mailroom.domain.retry import RetryPolicy
from mailroom.settings import MEGABYTE, Settings, SettingsError, load_settings


def test_nothing_set_means_the_defaults() -> None:
    assert load_settings({}) == Settings()
    assert load_settings({"MAILROOM_DELAY_DIVISOR": ""}).delay_divisor == 1.0


def test_every_variable_is_read() -> None:
    settings = load_settings(
        {
            "MAILROOM_DELAY_DIVISOR": "30",
            "MAILROOM_MAX_MESSAGE_MB": "0.5",
            "MAILROOM_RETURN_PATH_DOMAIN": "rp.example",
            "MAILROOM_SMTP_HOSTNAME": "smtp.example",
            "MAILROOM_WEB_HOSTNAME": "web.example",
            "MAILROOM_ENDPOINT_NETWORKS": "127.0.0.0/8, ::1/128,",
        }
    )
    assert settings.delay_divisor == settings.retry.divisor == 30.0
    assert settings.max_message_size == MEGABYTE // 2
    assert settings.return_path_domain == "rp.example"
    assert (settings.smtp_hostname, settings.web_hostname) == ("smtp.example", "web.example")
    assert settings.endpoint_networks == ("127.0.0.0/8", "::1/128")


def test_resources_are_found_by_kind_and_name() -> None:
    settings = load_settings({"MAILROOM_QUEUE_FAN_OUT": "https://queue", "HOME": "/nowhere"})
    assert settings.resource("queue", "fan-out") == "https://queue"
    assert "HOME" not in settings.resources


@pytest.mark.parametrize("given", [{}, {"MAILROOM_TABLE_MAIL": ""}])
def test_a_missing_resource_is_named(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="MAILROOM_TABLE_MAIL is not set"):
        load_settings(given).resource("table", "mail")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9", "ten", "1,5"])
@pytest.mark.parametrize("name", ["MAILROOM_DELAY_DIVISOR", "MAILROOM_MAX_MESSAGE_MB"])
def test_a_number_that_cannot_be_used_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({name: text})


def test_a_hold_lasts_a_week_and_never_longer_than_its_body() -> None:
    assert Settings().hold_seconds == 7 * 86_400
    shortened = {"MAILROOM_HOLD_DAYS": "0.5", "MAILROOM_DELAY_DIVISOR": "60"}
    assert load_settings(shortened).hold_seconds == 43_200  # not divided
    with pytest.raises(SettingsError, match="MAILROOM_HOLD_DAYS"):
        load_settings({"MAILROOM_HOLD_DAYS": "26"})


@pytest.mark.parametrize("text", ["10.0.0.1/8", "localhost", "10.0.0.0/8,x"])
def test_a_network_that_is_none_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="MAILROOM_ENDPOINT_NETWORKS"):
        load_settings({"MAILROOM_ENDPOINT_NETWORKS": text})


def test_what_tenants_dns_points_at() -> None:
    names = load_settings(
        {
            "MAILROOM_RETURN_PATH_DOMAIN": "rp.example",
            "MAILROOM_TRACKING_URL": "https://t.example:8443/x",
            "MAILROOM_MX_HOSTS": "mx1.example, mx2.example",
            "MAILROOM_SENDING_ADDRESSES": "192.0.2.1,2001:db8::1",
            "MAILROOM_VERIFICATION_PREFIX": "postal-verification",
        }
    ).names
    assert (names.return_path, names.tracking) == ("rp.example", "t.example")
    assert names.mx == ("mx1.example", "mx2.example")
    assert names.sending_addresses == ("192.0.2.1", "2001:db8::1")
    assert (names.verification_prefix, names.return_path_label) == ("postal-verification", "psrp")
    named = load_settings({"MAILROOM_TRACKING_DOMAIN": "track.example"}).names
    assert named.tracking == "track.example"


@pytest.mark.parametrize(
    ("name", "text"),
    [("MAILROOM_SENDING_ADDRESSES", "192.0.2.0/24"), ("MAILROOM_NAMESERVER_PORT", "70000")],
)
def test_a_setting_of_the_dns_that_cannot_be_used_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({name: text})


def test_the_retry_policy_is_put_together_of_settings() -> None:
    policy = load_settings(
        {
            "MAILROOM_UNCERTAIN_RESENDS": "0",
            "MAILROOM_UNCERTAIN_RESENDS_BULK": "2",
            "MAILROOM_DELAY_NOTICE_HOURS": "1",
            "MAILROOM_DELAY_DIVISOR": "60",
        }
    ).retry
    assert (policy.transactional.uncertain_resends, policy.bulk.uncertain_resends) == (0, 2)
    assert (policy.notice_after, policy.divisor) == (3600.0, 60.0)
    assert load_settings({}).retry == RetryPolicy()


@pytest.mark.parametrize("text", ["-1", "11", "many", "1.5", "\u0663"])
def test_a_number_of_copies_is_small_and_whole(text: str) -> None:
    with pytest.raises(SettingsError, match="MAILROOM_UNCERTAIN_RESENDS"):
        load_settings({"MAILROOM_UNCERTAIN_RESENDS": text})
