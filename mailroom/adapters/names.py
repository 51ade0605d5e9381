"""Keys and attribute names of the rows, shared by the sync adapters and egress.

Only spelling lives here. Every row carries `v`, its schema version.
"""

from zlib import crc32

from mailroom.domain.message import DeliveryKey, ServerId

SCHEMA = 1
SHARDS = 4  # due buckets; raise it only together with a re-shard of what waits

SUBMISSION = "s"
HISTORY = "h#"
SERVER_FACT = "n#"


def mail_pk(server: ServerId, number: int) -> str:
    """Partition key of a submission and everything that hangs on it."""
    return f"{server}#{number:013d}"


def delivery_sk(index: int) -> str:
    """Sort key of a delivery."""
    return f"d#{index:04d}"


def first_view_sk(index: int) -> str:
    """Sort key of the ids of a delivery's first open and click."""
    return f"u#{index:04d}"


def tag_sk(place: int) -> str:
    """Sort key of the row by which a submission's tag number `place` is found."""
    return f"t#{place:02d}"


def history_prefix(index: int) -> str:
    """What the sort keys of a delivery's history begin with."""
    return f"{HISTORY}{index:04d}#"


def is_history(sk: str) -> bool:
    """Say whether a sort key of the mail table is that of a recorded event."""
    return sk.startswith(HISTORY)


def history_sk(index: int, at: float, event_id: str) -> str:
    """Sort key of one recorded event: by time, then by its natural id."""
    return f"{history_prefix(index)}{round(at * 1000):014d}#{event_id}"


def server_facts_pk(server: ServerId) -> str:
    """Partition key of what is told of a server as a whole."""
    return f"{server}#facts"


def server_fact_sk(at: float, fact_id: str) -> str:
    """Sort key of one fact of a server: by time, then by its natural id."""
    return f"{SERVER_FACT}{round(at * 1000):014d}#{fact_id}"


def is_server_fact(sk: str) -> bool:
    """Say whether a sort key of the mail table is that of a fact of a server."""
    return sk.startswith(SERVER_FACT)


def read_delivery_key(pk: str, sk: str) -> DeliveryKey:
    """Return the delivery a row of the mail table belongs to."""
    server, number = pk.split("#")
    return DeliveryKey(ServerId(server), int(number), int(sk.split("#")[1]))


def shard_of(server: ServerId, number: int) -> str:
    """Spread due rows over the shards, always the same way for one submission."""
    return str(crc32(f"{server}{number}".encode()) % SHARDS)


def due_sk(server: ServerId, number: int, due_at: float) -> str:
    """Sort key of a watched submission: earliest first."""
    return f"{round(due_at * 1000):014d}#{server}#{number}"


def body_key(server: ServerId, number: int, chance: int, organisation: str, days: int) -> str:
    """S3 key of a raw message: retention class, two hex digits to spread load, owner.

    Classes are the prefixes the bucket's lifecycle rules name; `days` is rounded up to one.
    """
    retention = next((c for c in RETENTION_CLASSES if c >= days), RETENTION_CLASSES[-1])
    return f"{retention}/{chance & 0xFF:02x}/{organisation}/{server}/{number}"


RETENTION_CLASSES = (3, 7, 30, 35, 90, 400, 500)
