"""Records as people paste them: plain values, a BIND zone snippet, a Route 53 change batch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mailroom.domain.dns.answers import Kind
from mailroom.domain.dns.records import Need, Purpose, Record
from mailroom.domain.dns.spf import is_spf

MAX_STRING = 255  # octets of one character-string, RFC 1035 section 3.3
Published = Mapping[tuple[str, Kind], Sequence[str]]


def character_strings(text: str) -> Iterator[bytes]:
    """Yield `text` in pieces of at most 255 octets; readers join them without a space."""
    octets = text.encode()
    for at in range(0, max(len(octets), 1), MAX_STRING):
        yield octets[at : at + MAX_STRING]


def quoted_txt(text: str) -> str:
    """Return a TXT in presentation form (RFC 1035 section 5.1): quoted, split, escaped."""
    return " ".join(f'"{_escaped(piece)}"' for piece in character_strings(text))


def presented(record: Record) -> str:
    """Return a record's value as it stands in a zone file, names with their final dot."""
    if record.kind is Kind.TXT:
        return quoted_txt(record.value)
    return f"{record.value}."


def zone_snippet(records: Sequence[Record]) -> str:
    """Return lines for a BIND zone file (RFC 1035 section 5.1). All names are absolute."""
    lines = []
    for record in records:
        comment = f"; {record.purpose.replace('_', ' ')}, {record.need}"
        line = f"{record.name}. {record.ttl} IN {record.kind} {presented(record)}"
        lines += [comment, line]
    return "\n".join(lines) + "\n" if lines else ""


def route53_change_batch(
    records: Sequence[Record], published: Published | None = None
) -> dict[str, Any]:
    """Return the `ChangeBatch` of Route 53's ChangeResourceRecordSets.

    Route 53 replaces all records of a name and type together. Only with `published` (what stands
    there now: names and types to values) is that safe: what is there is kept, an SPF record apart,
    whose place the merged one takes. Without it the batch only creates, and Route 53 refuses it
    where something exists already. Optional records are left out: an MX would take the tenant's
    incoming mail away from where it goes now.
    """
    sets: dict[tuple[str, Kind], list[Record]] = {}
    for record in records:
        if record.need is not Need.OPTIONAL:
            sets.setdefault((record.name, record.kind), []).append(record)
    action = "CREATE" if published is None else "UPSERT"
    changes = [
        _change(action, place, members, (published or {}).get(place, ()))
        for place, members in sets.items()
    ]
    return {"Comment": "Records for sending mail", "Changes": changes}


def _change(
    action: str, place: tuple[str, Kind], members: Sequence[Record], there: Sequence[str]
) -> dict[str, Any]:
    name, kind = place
    values = [_spelled(kind, value) for value in there if not _is_replaced(kind, value, members)]
    values += [presented(record) for record in members]
    return {
        "Action": action,
        "ResourceRecordSet": {
            "Name": f"{name}.",
            "Type": str(kind),
            "TTL": min(record.ttl for record in members),
            "ResourceRecords": [{"Value": value} for value in dict.fromkeys(values)],
        },
    }


def _is_replaced(kind: Kind, value: str, members: Sequence[Record]) -> bool:
    """Say whether what is published makes way: aliases stand alone, SPF and DKIM come once."""
    if kind is Kind.TXT:
        purposes = {record.purpose for record in members}
        return (Purpose.SPF in purposes and is_spf(value)) or bool(
            purposes & {Purpose.DKIM, Purpose.DMARC}
        )
    return True


def _spelled(kind: Kind, value: str) -> str:
    return quoted_txt(value) if kind is Kind.TXT else f"{value}."


def _escaped(piece: bytes) -> str:
    return "".join(_character(octet) for octet in piece)


def _character(octet: int) -> str:
    if octet in b'"\\':
        return f"\\{octet:c}"
    if 0x20 <= octet < 0x7F:
        return f"{octet:c}"
    return f"\\{octet:03d}"
