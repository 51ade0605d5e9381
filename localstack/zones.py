"""The names of the world on localhost: where test mail goes, and what a tenant must publish.

Pure: builds records in the form that `localstack.dns_zone` reads. Nothing is served from here.
"""

from typing import TypeAlias

RECIPIENT_DOMAIN = "sim.test"

# Last octets under the loopback base. Where nothing listens, a connection is refused at once.
MX1, MX2, MX_BUSY, MX_DOWN = 2, 3, 4, 9
PRIVATE_ADDRESS = "10.0.0.1"

Record: TypeAlias = list[str]


def mx_hosts(mx_base: str = "127.0.0.") -> dict[str, str]:
    """Name -> address of the simulator's own MX hosts, the one that is always busy included."""
    return {
        f"mx1.{RECIPIENT_DOMAIN}": f"{mx_base}{MX1}",
        f"mx2.{RECIPIENT_DOMAIN}": f"{mx_base}{MX2}",
        f"mx-busy.{RECIPIENT_DOMAIN}": f"{mx_base}{MX_BUSY}",
    }


def world_zone(mx_base: str = "127.0.0.") -> dict[str, list[Record] | list[str]]:
    """The zone of `sim.test`: one domain for each thing that MX resolution can meet.

    `mx_base` is the first three octets, with the dot, of the loopback addresses. Names that are
    not listed do not exist (NXDOMAIN).
    """
    domain = RECIPIENT_DOMAIN
    hosts = mx_hosts(mx_base) | {
        f"mx-down.{domain}": f"{mx_base}{MX_DOWN}",
        f"mx-private.{domain}": PRIVATE_ADDRESS,
    }
    exchanges = [
        (domain, f"10 mx1.{domain}."),
        (domain, f"20 mx2.{domain}."),
        (f"busy.{domain}", f"10 mx-busy.{domain}."),
        (f"failover.{domain}", f"10 mx-busy.{domain}."),
        (f"failover.{domain}", f"20 mx2.{domain}."),
        (f"down.{domain}", f"10 mx-down.{domain}."),
        (f"private.{domain}", f"10 mx-private.{domain}."),
        (f"nullmx.{domain}", "0 ."),  # RFC 7505
    ]
    records = [[f"{name}.", "MX", value] for name, value in exchanges]
    records += [[f"{name}.", "A", address] for name, address in hosts.items()]
    records += [
        [f"nomx.{domain}.", "A", f"{mx_base}{MX1}"],  # RFC 5321 section 5.1: implicit MX
        [f"nodata.{domain}.", "TXT", "this name has neither MX nor address"],
        [f"cname.{domain}.", "CNAME", f"{domain}."],
        [f"{domain}.", "TXT", "v=spf1 -all"],
    ]
    return {"records": records, "servfail": [f"servfail.{domain}."], "nodata": []}


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
