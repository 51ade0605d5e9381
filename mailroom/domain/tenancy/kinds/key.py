"""Bearer keys of the platform, of an organisation, and of a person (their personal tokens).

Whose a key is, is its parent. A revoked one cannot be had back: whoever revokes a key does so
because somebody may know it.
"""

from collections.abc import Sequence
from typing import Any

from mailroom.domain.tenancy.kinds.secret import PRIVATE, opened
from mailroom.domain.tenancy.record import Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind


def key_row(key: Resource) -> dict[str, Any]:
    """Return what `identify` reads of a key."""
    owner, _, id_ = key.parent.partition("#")  # "platform", "organisation" or "user"
    fields = key.fields
    return {
        "id": key.id,
        "kind": owner,
        "name": fields["name"],
        **({owner: id_} if id_ else {}),
        "scopes": fields["scopes"],
        "networks": fields.get("networks", []),
        "expires_at": fields.get("expires_at"),
    }


def _runtime(key: Resource) -> Sequence[Record]:
    return list(opened(key.fields, key_row(key)))


KEY = ResourceKind(
    name="key", prefix="key", most=200, recoverable=False, runtime=_runtime, private=PRIVATE
)
