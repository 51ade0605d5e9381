"""Webhooks of a server, or of an organisation and so of all its servers."""

from collections.abc import Sequence

from mailroom.domain.message import ServerId, Views, Webhook
from mailroom.domain.tenancy.kinds.shared import EXTERNAL_ID
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind
from mailroom.domain.tenancy.spelling import webhook_body


def webhook_of(resource: Resource) -> Webhook:
    """Return the webhook a resource is; the server of an organisation's is ""."""
    fields = resource.fields
    owner, _, id_ = resource.parent.partition("#")
    return Webhook(
        id=resource.id,
        server=ServerId(id_ if owner == "server" else ""),
        url=fields["url"],
        events=frozenset(fields.get("events") or ()),
        enabled=fields.get("enabled", True),
        sign=fields.get("sign", True),
        views=Views(fields.get("views", "all")),
    )


def _runtime(resource: Resource) -> Sequence[Record]:
    place = Place(resource.parent, f"webhook#{resource.id}")
    return [Record(place, webhook_body(webhook_of(resource)))]


WEBHOOK = ResourceKind(
    name="webhook",
    prefix="wh",
    most=100,
    unique=(EXTERNAL_ID,),
    runtime=_runtime,
    private=frozenset({"url"}),
)
