"""The names of the world on localhost: where test mail goes, and what a tenant must publish.

Pure: builds records in the form that `localstack.dns_zone` reads. Nothing is served from here.
"""

from typing import TypeAlias

from localstack.simulator.profiles import PROFILES, addresses

RECIPIENT_DOMAIN = "sim.test"

# Last octets under the loopback base. Where nothing listens, a connection is refused at once.
MX1, MX2, MX_BUSY, MX_DOWN = 2, 3, 4, 9
PRIVATE_ADDRESS = "10.0.0.1"

# Documentation prefix (RFC 5737): routed nowhere, but public as far as a guard can tell.
PUBLIC_ADDRESS = "203.0.113.7"
LOOPBACK = "127.0.0.1"
IPV6_HOST = f"mx.ipv6.{RECIPIENT_DOMAIN}"
IPV6_ADDRESS = "::1"

Record: TypeAlias = list[str]
World: TypeAlias = dict[str, list[Record] | list[str] | list[list[str | list[str]]]]


def mx_hosts(mx_base: str = "127.0.0.") -> dict[str, str]:
    """Name -> address of the simulator's own MX hosts, the one that is always busy included."""
    return {
        f"mx1.{RECIPIENT_DOMAIN}": f"{mx_base}{MX1}",
        f"mx2.{RECIPIENT_DOMAIN}": f"{mx_base}{MX2}",
        f"mx-busy.{RECIPIENT_DOMAIN}": f"{mx_base}{MX_BUSY}",
    }


def profile_hosts(mx_base: str = "127.0.0.") -> dict[str, str]:
    """Name -> address of the MX of each host in the simulator's table of hosts."""
    octets = addresses(mx_base)
    return {f"{each.host}.{RECIPIENT_DOMAIN}": octets[each.name] for each in PROFILES}


def scriptable_hosts(mx_base: str = "127.0.0.") -> dict[str, str]:
    """Name -> address of every host a script may be written for: by its own name, and those of
    the table of hosts by their domain too.
    """
    ordinary = {name: at for name, at in mx_hosts(mx_base).items() if "busy" not in name}
    special = profile_hosts(mx_base)
    domains = {name.removeprefix("mx."): address for name, address in special.items()}
    return ordinary | special | domains | {IPV6_HOST: IPV6_ADDRESS}


def world_zone(mx_base: str = "127.0.0.") -> World:
    """The zone of `sim.test`: one domain for each thing that MX resolution can meet.

    `mx_base` is the first three octets, with the dot, of the loopback addresses. Names that are
    not listed do not exist (NXDOMAIN).
    """
    domain = RECIPIENT_DOMAIN
    hosts = (
        mx_hosts(mx_base)
        | profile_hosts(mx_base)
        | {
            f"mx-down.{domain}": f"{mx_base}{MX_DOWN}",
            f"mx-private.{domain}": PRIVATE_ADDRESS,
            f"mx.dualstack.{domain}": f"{mx_base}{MX1}",
        }
    )
    exchanges = [
        (domain, f"10 mx1.{domain}."),
        (domain, f"20 mx2.{domain}."),
        (f"busy.{domain}", f"10 mx-busy.{domain}."),
        (f"failover.{domain}", f"10 mx-busy.{domain}."),
        (f"failover.{domain}", f"20 mx2.{domain}."),
        (f"down.{domain}", f"10 mx-down.{domain}."),
        (f"private.{domain}", f"10 mx-private.{domain}."),
        (f"nullmx.{domain}", "0 ."),  # RFC 7505
        *_several_hosts(domain),
        *((f"{each.name}.{domain}", f"10 {each.host}.{domain}.") for each in PROFILES),
    ]
    records = [[f"{name}.", "MX", value] for name, value in exchanges]
    records += [[f"{name}.", "A", address] for name, address in hosts.items()]
    records += [
        [f"nomx.{domain}.", "A", f"{mx_base}{MX1}"],  # RFC 5321 section 5.1: implicit MX
        [f"nodata.{domain}.", "TXT", "this name has neither MX nor address"],
        [f"cname.{domain}.", "CNAME", f"{domain}."],
        [f"{domain}.", "TXT", "v=spf1 -all"],
        [f"alias.{domain}.", "CNAME", f"mx1.{domain}."],
        [f"{IPV6_HOST}.", "AAAA", IPV6_ADDRESS],
        [f"mx.dualstack.{domain}.", "AAAA", IPV6_ADDRESS],
    ]
    changing: list[list[str | list[str]]] = [
        [f"rebind.{domain}.", "A", [PUBLIC_ADDRESS, LOOPBACK]],
        [f"rebind-private.{domain}.", "A", [PUBLIC_ADDRESS, PRIVATE_ADDRESS]],
    ]
    return {
        "records": records,
        "servfail": [f"servfail.{domain}."],
        "nodata": [],
        "silent": [f"timeout.{domain}."],
        "changing": changing,
    }


def _several_hosts(domain: str) -> list[tuple[str, str]]:
    """The MX records of the domains that try a client's way of choosing a host."""
    chosen = {
        "deadfirst": ["10 mx-down", "20 mx2"],
        "equal": ["10 mx1", "10 mx2"],
        "half-dead": ["10 mx-down", "10 mx2"],
        "private-first": ["10 mx-private", "20 mx2"],
        "mx-alias": ["10 alias"],
        "mx-missing": ["10 no-such-host"],
        "mx-missing-first": ["10 no-such-host", "20 mx2"],
        "mx-servfail": ["10 mx.servfail"],
        "mx-timeout": ["10 mx.timeout"],
        "ipv6": ["10 mx.ipv6"],
        "dualstack": ["10 mx.dualstack"],
        "many": [*(f"{preference} mx-down" for preference in range(10)), "99 mx2"],
    }
    exchanges = [
        (f"{name}.{domain}", f"{value}.{domain}.")
        for name, values in chosen.items()
        for value in values
    ]
    # An address in place of a name (RFC 5321 section 5.1 wants a name): resolves to nothing.
    return [*exchanges, (f"mx-literal.{domain}", f"10 {LOOPBACK}.")]


def tenant_records(
    domain: str,
    *,
    selector: str,
    public_key_b64: str,
    spf_include: str,
    return_path_target: str,
    tracking_target: str,
    verification_token: str = "",
) -> list[Record]:
    """The records a tenant publishes for a sending `domain`, worded as Postal words them.

    `public_key_b64` is the DER SubjectPublicKeyInfo in base64; targets are host names. The
    ownership record is left out without a `verification_token`.
    """
    name = domain.removesuffix(".")
    dkim = f"v=DKIM1; t=s; h=sha256; p={public_key_b64};"
    records = [
        [f"{name}.", "TXT", f"v=spf1 a mx include:{spf_include.removesuffix('.')} ~all"],
        [f"{selector}._domainkey.{name}.", "TXT", dkim],
        [f"psrp.{name}.", "CNAME", _absolute(return_path_target)],
        [f"track.{name}.", "CNAME", _absolute(tracking_target)],
        [f"_dmarc.{name}.", "TXT", "v=DMARC1; p=none"],
    ]
    if verification_token:
        records.append([f"{name}.", "TXT", f"postal-verification {verification_token}"])
    return records


def _absolute(name: str) -> str:
    return name.removesuffix(".") + "."
