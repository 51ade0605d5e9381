"""All kinds of resources by name, for who has to deal with any of them."""

from collections.abc import Mapping

from mailroom.domain.tenancy.kinds.credential import CREDENTIAL
from mailroom.domain.tenancy.kinds.domain import DOMAIN
from mailroom.domain.tenancy.kinds.inbound import ENDPOINT, ROUTE
from mailroom.domain.tenancy.kinds.invitation import INVITATION
from mailroom.domain.tenancy.kinds.key import KEY
from mailroom.domain.tenancy.kinds.member import MEMBER
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS, POOL_RULE
from mailroom.domain.tenancy.kinds.server import SERVER
from mailroom.domain.tenancy.kinds.stream import STREAM
from mailroom.domain.tenancy.kinds.template import TEMPLATE
from mailroom.domain.tenancy.kinds.tracking_domain import TRACKING_DOMAIN
from mailroom.domain.tenancy.kinds.user import USER
from mailroom.domain.tenancy.kinds.webhook import WEBHOOK
from mailroom.domain.tenancy.resource import ResourceKind

KINDS: Mapping[str, ResourceKind] = {
    kind.name: kind
    for kind in (
        CREDENTIAL,
        DOMAIN,
        ENDPOINT,
        INVITATION,
        KEY,
        MEMBER,
        ORGANISATION,
        POOL,
        POOL_ADDRESS,
        POOL_RULE,
        ROUTE,
        SERVER,
        STREAM,
        TEMPLATE,
        TRACKING_DOMAIN,
        USER,
        WEBHOOK,
    )
}
