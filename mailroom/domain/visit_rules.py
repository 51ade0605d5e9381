"""The rules that tell people from machines among opens and clicks: data, in order.

The first rule that matches gives the verdict; where none matches it was a person, because a
machine taken for a person costs a wrong figure and a person taken for a machine costs a customer's
trust in all of them. Change RULES_VERSION with every change of a verdict.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network

RULES_VERSION = 1

# Nobody receives a mail, reads it and follows a link in that time.
TOO_SOON_SECONDS = 2.0
# Opening a second tab at once is a habit of people; a third within the same time is not.
BURST_SECONDS = 2.0
BURST_LINKS = 3


class Verdict(StrEnum):
    """Who opened or clicked. Values are stored and sent; never rename them."""

    PERSON = "person"
    MACHINE_OPEN = "machine_open"  # a mail provider's proxy fetched the pictures
    LINK_SCANNER = "link_scanner"  # a security gateway, preview or script looked
    PREFETCH = "prefetch"  # a browser or mail program got ready for a person


@dataclass(frozen=True, slots=True)
class VisitFacts:
    """What is known of one open (`click` False) or click when it is judged.

    `network` is as in ViewFacts; `ahead` says that the request called itself a prefetch. `age` is
    the seconds since the receiver took the mail or, where that is not known, since we accepted
    it; `links` how many different links of the delivery were followed within BURST_SECONDS of
    this hit, its own included.
    """

    click: bool
    user_agent: str
    network: str = ""
    ahead: bool = False
    age: float | None = None
    links: int = 1


@dataclass(frozen=True, slots=True)
class VisitRule:
    """One rule: all conditions it has must hold. `sample` must fire it, `source` says why it is.

    `click` limits it to clicks or to opens; `agent` is looked for in the user agent in lower
    case, which is several times as fast as ignoring case.
    """

    name: str
    verdict: Verdict
    sample: VisitFacts
    source: str
    click: bool | None = None
    agent: re.Pattern[str] | None = None
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    ahead: bool = False
    younger_than: float | None = None
    links: int = 1

    def matches(self, facts: VisitFacts) -> bool:
        """Say whether all conditions hold."""
        return (
            self.click in (None, facts.click)
            and facts.links >= self.links
            and (facts.ahead or not self.ahead)
            and (self.younger_than is None or _is_younger(facts.age, self.younger_than))
            and (self.agent is None or self.found_in(facts.user_agent) is not None)
            and (not self.networks or _is_within(facts.network, self.networks))
        )

    def found_in(self, user_agent: str) -> str | None:
        """Return the part of `user_agent` that `agent` matches, as it is written there."""
        lowered = user_agent.lower()
        found = self.agent.search(lowered) if self.agent else None
        if found is None:
            return None
        # A few capitals become two letters, and the places no longer agree.
        text = user_agent if len(user_agent) == len(lowered) else lowered
        return text[slice(*found.span())]


def _is_younger(age: float | None, limit: float) -> bool:
    return age is not None and age < limit


def _is_within(network: str, known: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        found = ip_network(network)
    except ValueError:
        return False
    if isinstance(found, IPv4Network):
        return any(found.subnet_of(each) for each in known if isinstance(each, IPv4Network))
    return any(found.subnet_of(each) for each in known if isinstance(each, IPv6Network))


def _networks(*names: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(name) for name in names)


_BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36"
)

RULES: tuple[VisitRule, ...] = (
    VisitRule(
        "announced-prefetch",
        Verdict.PREFETCH,
        VisitFacts(click=True, user_agent=_BROWSER, ahead=True),
        "Sec-Purpose of the Fetch standard; Purpose, X-Purpose and X-Moz of older browsers",
        ahead=True,
    ),
    VisitRule(
        "office-looks-first",
        Verdict.PREFETCH,
        VisitFacts(
            click=True,
            user_agent="Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.1; WOW64; ms-office)",
        ),
        "Office asks what a link is before it hands it to the browser, which then asks again "
        "(Microsoft KB 899927; webmasters.stackexchange.com/questions/71112)",
        click=True,
        agent=re.compile(r"ms-?office|microsoft office"),
    ),
    VisitRule(
        "apple-mail-privacy",
        Verdict.MACHINE_OPEN,
        VisitFacts(click=False, user_agent="Mozilla/5.0"),
        "Mail Privacy Protection fetches all pictures through proxies that send this and no more",
        click=False,
        agent=re.compile(r"\Amozilla/5\.0\Z"),
    ),
    VisitRule(
        "google-image-proxy",
        Verdict.MACHINE_OPEN,
        VisitFacts(
            click=False,
            user_agent="Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 "
            "(via ggpht.com GoogleImageProxy)",
        ),
        "Gmail fetches pictures through its own proxy (support.google.com/mail/answer/145919)",
        agent=re.compile(r"googleimageproxy|via ggpht\.com"),
    ),
    VisitRule(
        "yahoo-mail-proxy",
        Verdict.MACHINE_OPEN,
        VisitFacts(
            click=False,
            user_agent="YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
        ),
        "the page its user agent names",
        agent=re.compile(r"yahoomailproxy|yahoocachesystem"),
    ),
    VisitRule(
        "nameless-open",
        Verdict.MACHINE_OPEN,
        VisitFacts(click=False, user_agent=""),
        "every mail program and browser names itself",
        click=False,
        agent=re.compile(r"\A\s*\Z"),
    ),
    VisitRule(
        "nameless-click",
        Verdict.LINK_SCANNER,
        VisitFacts(click=True, user_agent="Mozilla/5.0"),
        "every browser names itself; Mozilla alone is what all of them begin with",
        click=True,
        agent=re.compile(r"\A\s*(?:mozilla(?:/\d\.\d)?)?\s*\Z"),
    ),
    VisitRule(
        "security-gateway",
        Verdict.LINK_SCANNER,
        VisitFacts(click=True, user_agent="BarracudaCentral/1.0 link protection"),
        "gateways that name themselves when they follow the links of arriving mail",
        agent=re.compile(
            r"barracuda|mimecast|proofpoint|urldefense|safelinks|symantec|messagelabs|brightcloud"
            r"|ironport|ciscosecure|trend ?micro|sophos|fortinet|fortiguard|fortimail|forcepoint"
            r"|websense|checkpoint|cloudmark|vadesecure|fireeye|virustotal|urlscan"
        ),
    ),
    VisitRule(
        "link-preview",
        Verdict.LINK_SCANNER,
        VisitFacts(
            click=True,
            user_agent="Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) "
            "BingPreview/1.0b",
        ),
        "mail and chat services that draw a picture of a link, and name themselves",
        agent=re.compile(
            r"bingpreview|skypeuripreview|facebookexternalhit|slack-imgproxy|\Awhatsapp/"
            r"|google-safety|google-pagerenderer"
        ),
    ),
    VisitRule(
        "browser-without-window",
        Verdict.LINK_SCANNER,
        VisitFacts(click=True, user_agent=_BROWSER.replace("Chrome", "HeadlessChrome")),
        "browsers driven by a program name that in their default user agent",
        agent=re.compile(r"headlesschrome|phantomjs|puppeteer|playwright|selenium"),
    ),
    VisitRule(
        "http-library",
        Verdict.LINK_SCANNER,
        VisitFacts(click=True, user_agent="python-requests/2.32.3"),
        "default user agents of libraries and command-line programs",
        agent=re.compile(
            r"\A(?:python[-/]|curl/|libcurl|wget|aiohttp/|python-httpx/|go-http-client/|java/"
            r"|apache-httpclient/|libwww-perl/|lwp|guzzlehttp/|axios/|node-fetch|undici|ruby"
            r"|postmanruntime/|scrapy/|winhttp)[\w-]*"
        ),
    ),
    VisitRule(
        "named-robot",
        Verdict.LINK_SCANNER,
        VisitFacts(click=True, user_agent="Mozilla/5.0 (compatible; Googlebot/2.1)"),
        "robots call themselves so; Cubot makes telephones",
        agent=re.compile(r"(?<!cu)(?:bot|crawler|spider|scanner)\b"),
    ),
    VisitRule(
        "mail-servers-network",
        Verdict.LINK_SCANNER,
        VisitFacts(click=True, user_agent=_BROWSER, network="104.47.55.0/24"),
        "mail filters, no readers, live there: Exchange Online Protection (Microsoft 365 URLs "
        "and IP address ranges, Exchange Online, SMTP), Barracuda Email Gateway Defense",
        networks=_networks(
            "40.92.0.0/15",
            "40.107.0.0/16",
            "52.100.0.0/14",
            "104.47.0.0/17",
            "2a01:111:f400::/48",
            "2a01:111:f403::/48",
            "64.235.144.0/20",
            "209.222.80.0/21",
        ),
    ),
    VisitRule(
        "too-soon",
        Verdict.LINK_SCANNER,
        VisitFacts(click=True, user_agent=_BROWSER, age=0.4),
        "gateways follow links while they take the mail or directly after, as any browser would",
        click=True,
        younger_than=TOO_SOON_SECONDS,
    ),
    VisitRule(
        "burst",
        Verdict.LINK_SCANNER,
        VisitFacts(click=True, user_agent=_BROWSER, links=BURST_LINKS),
        "scanners follow all links of a mail at once, readers one after the other",
        click=True,
        links=BURST_LINKS,
    ),
)
