"""Answer for a tracking path of mail that Postal sent before a tenant moved.

Nothing is counted here: such a message is no delivery of ours. Until a set date the old host is
asked, which counts as it always did; after it, or without one, imported links still lead on.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mailroom.domain.legacy_link import LegacyHost, is_legacy
from mailroom.domain.tracking_token import is_trackable, redirect_location
from mailroom.ports import Clock
from mailroom.ports.legacy_links import LegacyLinks
from mailroom.usecases.track import Trust, is_blocked


@dataclass(frozen=True, slots=True)
class LegacyPorts:
    """The world of old links. `host` is None where no old host is asked."""

    links: LegacyLinks
    trust: Callable[[], Trust]
    clock: Clock
    host: LegacyHost | None = None


def follow_legacy(server: str, token: str, ports: LegacyPorts) -> str | None:
    """Return where `/<server>/<token>` leads (ASCII), or None for what is no link of Postal's.

    An imported link is preferred to the old host: it was imported so as to need that no more.
    """
    if not is_legacy(server, token):
        return None
    # Only servers that have links are looked up: anybody can make up a path.
    url = ports.links.find(server, token) if server in ports.links.servers() else None
    if url is not None and is_trackable(url):
        location = redirect_location(url)
        return None if is_blocked(location, ports.trust().hosts) else location
    return _ask_host(ports, lambda host, now: host.link(server, token, now))


def legacy_pixel(server: str, message: str, ports: LegacyPorts) -> str | None:
    """Return where the pixel `/img/<server>/<message>` is: a URL at the old host, or "" for ours.

    None for what is no pixel of Postal's. Ours is given for any that could be one: old mail shall
    not show a broken image, and that costs no read.
    """
    if not is_legacy(server, message):
        return None
    return _ask_host(ports, lambda host, now: host.pixel(server, message, now)) or ""


def _ask_host(ports: LegacyPorts, url: Callable[[LegacyHost, float], str]) -> str | None:
    return None if ports.host is None else url(ports.host, ports.clock.now()) or None
