"""Configuration: one frozen value built from a mapping in each composition root."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import urlsplit

from mailroom.domain.dns.records import PlatformNames
from mailroom.domain.legacy_link import LegacyHost
from mailroom.domain.retry import BULK_SCHEDULE, TRANSACTIONAL_SCHEDULE, RetryPolicy

MEGABYTE = 1024 * 1024
_WEB = ("https://", "http://")


class SettingsError(Exception):
    """A variable is missing or malformed; the message names it and the page that explains it."""


class AppMailTls(StrEnum):
    """How the platform's own mail is protected on its way to its server."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"  # on the local stack


@dataclass(frozen=True, slots=True)
class AppMailServer:
    """Where the platform hands over its own mail, such as invitations."""

    host: str
    sender: str
    port: int = 587
    user: str = ""
    password: str = field(default="", repr=False)
    tls: AppMailTls = AppMailTls.STARTTLS


@dataclass(frozen=True, slots=True)
class Settings:
    """What every process may need. Names of AWS resources come from `infra/resources.json`.

    Sizes are octets, times seconds. `delay_divisor` shortens every wait (retry, watch, webhook)
    on the local stack and is 1 everywhere else.
    """

    resources: Mapping[str, str] = field(default_factory=dict)
    delay_divisor: float = 1.0
    max_message_size: int = 25 * MEGABYTE
    return_path_domain: str = ""
    smtp_hostname: str = ""
    web_hostname: str = ""
    environment: str = "default"  # the deployment's name, which ids and keys are marked with
    tracking_url: str = ""  # of servers without a tracking domain of their own
    large_api_url: str = ""  # base URL of the API on a host, for what Lambda does not take
    endpoint_networks: tuple[str, ...] = ()  # private networks webhooks may reach (local stack)
    webhook_retry_hours: float = 24.0  # how long a webhook call is tried again
    webhook_timeout: float = 10.0  # one whole call
    hold_days: float = 7.0  # how long a held message waits for a person
    uncertain_resends: int = 3  # copies after a lost final reply, of transactional mail
    uncertain_resends_bulk: int = 0  # and of bulk mail
    delay_notice_hours: float = 4.0  # how old a delivery is when it counts as late
    brake_complaint_rate: float = 0.001  # complaints of delivered mail; 0 is no limit
    brake_bounce_rate: float = 0.05  # bad addresses among what got an answer for good
    api_rate: int = 600  # requests a minute that one key may make
    trace_rate: float = 0.01  # share of requests that X-Ray follows
    xray_daemon: str = ""  # UDP host:port of the X-Ray daemon, if not the usual one
    console_url: str = ""  # where people accept invitations; "" for over the API alone
    app_mail: AppMailServer | None = None  # None: nobody can be invited
    legacy_tracking: LegacyHost | None = None  # Postal's tracking host, while it is still asked
    names: PlatformNames = field(default_factory=PlatformNames)  # what tenants' DNS points at
    name_servers: tuple[str, ...] = ()  # resolvers as address:port, the system's if none
    name_server_port: int = 53  # where authoritative servers listen (local stack)
    dns_direct: bool = True  # domains are checked at their own servers, not through resolvers

    def resource(self, kind: str, name: str) -> str:
        """Return the name, URL or ARN of a resource.

        Raises SettingsError if the process was not given it.
        """
        variable = f"MAILROOM_{kind}_{name}".upper().replace("-", "_")
        found = self.resources.get(variable, "")
        if not found:  # empty is what a template makes of a name it does not know
            raise SettingsError(f"{variable} is not set (docs/settings.md)")
        return found

    @property
    def hold_seconds(self) -> float:
        """How long a held message waits; not divided, since a person is slow everywhere."""
        return self.hold_days * 86_400

    @property
    def retry(self) -> RetryPolicy:
        """The retry policy with this deployment's divisor."""
        return RetryPolicy(
            transactional=replace(TRANSACTIONAL_SCHEDULE, uncertain_resends=self.uncertain_resends),
            bulk=replace(BULK_SCHEDULE, uncertain_resends=self.uncertain_resends_bulk),
            notice_after=self.delay_notice_hours * 3600.0,
            divisor=self.delay_divisor,
        )


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables.

    Raises SettingsError for a value that cannot be used.
    """
    return Settings(
        resources={k: v for k, v in environment.items() if k.startswith("MAILROOM_")},
        delay_divisor=_number(environment, "MAILROOM_DELAY_DIVISOR", 1.0),
        max_message_size=int(_number(environment, "MAILROOM_MAX_MESSAGE_MB", 25.0) * MEGABYTE),
        return_path_domain=environment.get("MAILROOM_RETURN_PATH_DOMAIN", ""),
        smtp_hostname=environment.get("MAILROOM_SMTP_HOSTNAME", ""),
        web_hostname=environment.get("MAILROOM_WEB_HOSTNAME", ""),
        environment=environment.get("MAILROOM_ENVIRONMENT") or "default",
        tracking_url=environment.get("MAILROOM_TRACKING_URL", ""),
        large_api_url=_base_url(environment, "MAILROOM_LARGE_API_URL"),
        endpoint_networks=_networks(environment, "MAILROOM_ENDPOINT_NETWORKS"),
        webhook_retry_hours=_bounded(environment, "MAILROOM_WEBHOOK_RETRY_HOURS", 24.0, 240.0),
        # Two rounds of five calls must fit into the function's own time-out.
        webhook_timeout=_bounded(environment, "MAILROOM_WEBHOOK_TIMEOUT", 10.0, 25.0),
        # A released body must still be there: the shortest class that keeps it is 30 days.
        hold_days=_bounded(environment, "MAILROOM_HOLD_DAYS", 7.0, 25.0),
        uncertain_resends=_count(environment, "MAILROOM_UNCERTAIN_RESENDS", 3),
        uncertain_resends_bulk=_count(environment, "MAILROOM_UNCERTAIN_RESENDS_BULK", 0),
        delay_notice_hours=_bounded(environment, "MAILROOM_DELAY_NOTICE_HOURS", 4.0, 72.0),
        brake_complaint_rate=_share(environment, "MAILROOM_BRAKE_COMPLAINT_RATE", 0.001),
        brake_bounce_rate=_share(environment, "MAILROOM_BRAKE_BOUNCE_RATE", 0.05),
        api_rate=int(_bounded(environment, "MAILROOM_API_RATE", 600, 1_000_000)),
        trace_rate=_share(environment, "MAILROOM_TRACE_RATE", 0.01),
        xray_daemon=environment.get("AWS_XRAY_DAEMON_ADDRESS", ""),
        console_url=_base_url(environment, "MAILROOM_CONSOLE_URL"),
        app_mail=_app_mail(environment),
        legacy_tracking=_legacy_tracking(environment),
        names=_platform_names(environment),
        name_servers=_list(environment, "MAILROOM_NAMESERVERS"),
        name_server_port=int(_bounded(environment, "MAILROOM_NAMESERVER_PORT", 53.0, 65_535.0)),
        dns_direct=environment.get("MAILROOM_DNS_DIRECT", "1") != "0",
    )


def _platform_names(environment: Mapping[str, str]) -> PlatformNames:
    tracking = urlsplit(environment.get("MAILROOM_TRACKING_URL", "")).hostname or ""
    return PlatformNames(
        spf_include=environment.get("MAILROOM_SPF_INCLUDE", ""),
        return_path=environment.get("MAILROOM_RETURN_PATH_DOMAIN", ""),
        tracking=environment.get("MAILROOM_TRACKING_DOMAIN") or tracking,
        mx=_list(environment, "MAILROOM_MX_HOSTS"),
        verification_prefix=environment.get("MAILROOM_VERIFICATION_PREFIX")
        or "mailroom-verification",
        return_path_label=environment.get("MAILROOM_RETURN_PATH_LABEL") or "psrp",
        dmarc_reports=environment.get("MAILROOM_DMARC_REPORTS", ""),
        sending_addresses=_addresses(environment, "MAILROOM_SENDING_ADDRESSES"),
    )


def _list(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in environment.get(name, "").split(",") if part.strip())


def _addresses(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = _list(environment, name)
    for text in found:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise SettingsError(f"{name} has no address {text!r} (docs/settings.md)") from None
    return found


def _share(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    try:
        share = float(text) if text else default
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(f"{name} is no number from 0 to 1: {text!r} (docs/settings.md)")
    return share


def _count(environment: Mapping[str, str], name: str, default: int, most: int = 10) -> int:
    text = environment.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise SettingsError(f"{name} is no number from 0 to {most}: {text!r} (docs/settings.md)")
    return int(text)


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise SettingsError(f"{name} is not a positive number: {text!r} (docs/settings.md)")
    return number


def _bounded(environment: Mapping[str, str], name: str, default: float, most: float) -> float:
    number = _number(environment, name, default)
    if number > most:
        raise SettingsError(f"{name} is over {most:g}: {number:g} (docs/settings.md)")
    return number


def _base_url(environment: Mapping[str, str], name: str) -> str:
    text = environment.get(name, "").rstrip("/")
    if text and not (text.isascii() and text.isprintable() and text.startswith(_WEB)):
        raise SettingsError(f"{name} is no URL of a web server: {text!r} (docs/settings.md)")
    return text


def _app_mail(environment: Mapping[str, str]) -> AppMailServer | None:
    host = environment.get("MAILROOM_APP_MAIL_HOST", "")
    if not host:
        return None
    sender = environment.get("MAILROOM_APP_MAIL_FROM", "")
    if "@" not in sender or not sender.isprintable():
        raise SettingsError(f"MAILROOM_APP_MAIL_FROM is no address: {sender!r} (docs/settings.md)")
    tls = environment.get("MAILROOM_APP_MAIL_TLS") or AppMailTls.STARTTLS
    if tls not in tuple(AppMailTls):
        raise SettingsError(f"MAILROOM_APP_MAIL_TLS is unknown: {tls!r} (docs/settings.md)")
    return AppMailServer(
        host=host,
        sender=sender,
        port=int(_bounded(environment, "MAILROOM_APP_MAIL_PORT", 587.0, 65_535.0)),
        user=environment.get("MAILROOM_APP_MAIL_USER", ""),
        password=environment.get("MAILROOM_APP_MAIL_PASSWORD", ""),
        tls=AppMailTls(tls),
    )


def _networks(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in environment.get(name, "").split(",") if part.strip())
    for text in names:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            raise SettingsError(f"{name} has no network {text!r} (docs/settings.md)") from None
    return names


def _legacy_tracking(environment: Mapping[str, str]) -> LegacyHost | None:
    names = "MAILROOM_LEGACY_TRACKING_HOST", "MAILROOM_LEGACY_TRACKING_UNTIL"
    origin, until = (environment.get(name, "") for name in names)
    if not origin and not until:
        return None
    try:
        end = datetime.fromisoformat(until)
        end = end if end.tzinfo else end.replace(tzinfo=UTC)
        return LegacyHost(origin.rstrip("/"), end.timestamp())
    except ValueError as error:
        raise SettingsError(
            f"{' and '.join(names)} must be an origin and a day: {error} (docs/settings.md)"
        ) from None
