"""Two pools with addresses of this machine, for who wants to see pools, leases and shares at work.

Linux answers for all of 127.0.0.0/8, so that a host here can bind to as many addresses as it likes.
"""

from mailroom.domain.message import BROADCAST, TRANSACTIONAL
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS
from mailroom.domain.tenancy.kinds.stream import STREAM
from mailroom.domain.tenancy.resource import PLATFORM
from mailroom.usecases.registrar import Registrar

# Name, purpose, stream whose mail goes out through it, and the last octets of 127.0.1.x.
POOLS = (
    ("Demo transactional", "transactional", TRANSACTIONAL, (11, 12)),
    ("Demo broadcast", "broadcast", BROADCAST, (21, 22, 23)),
)


def make_pools(server: str, domain: str, registrar: Registrar, actor: Actor) -> dict[str, str]:
    """Make the pools and give them to the streams of a server; return their ids by stream.

    The addresses are warm and call themselves `out11.<domain>` and so on. Raises
    AlreadyExistsError if the pools are there.
    """
    made = {}
    for name, purpose, stream, octets in POOLS:
        fields = {"name": name, "purpose": purpose, "organisations": None, "overflow": None}
        pool = registrar.create(POOL, PLATFORM, fields, actor=actor, organisation="")
        for octet in octets:
            address = {
                "ipv4": f"127.0.1.{octet}",
                "hostname": f"out{octet}.{domain}",
                "weight": 100,
                "state": "warm",
            }
            registrar.create(POOL_ADDRESS, pool.owner, address, actor=actor, organisation="")
        before = registrar.read(STREAM, f"server#{server}", stream)
        registrar.update(STREAM, before, {**before.fields, "pool": pool.id}, actor=actor)
        made[stream] = pool.id
    return made
