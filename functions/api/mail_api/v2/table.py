"""The table of all operations."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

from mail_api.v2.operation import Operation
from mail_api.v2.resources import (
    audit,
    credentials,
    description,
    domains,
    egress,
    egress_accounting,
    egress_addresses,
    egress_documents,
    egress_orders,
    egress_rules,
    egress_settings,
    inbound,
    invitations,
    jobs,
    keys,
    me,
    members,
    messages,
    organisations,
    pools,
    recipients,
    sending,
    servers,
    statistics,
    streams,
    suppressions,
    templates,
    tracking_domains,
    users,
    webhooks,
)

OPERATIONS: Sequence[Operation] = (
    *description.OPERATIONS,
    *me.OPERATIONS,
    *users.OPERATIONS,
    *keys.OPERATIONS,
    *organisations.OPERATIONS,
    *members.OPERATIONS,
    *invitations.OPERATIONS,
    *servers.OPERATIONS,
    *credentials.OPERATIONS,
    *statistics.OPERATIONS,
    *messages.OPERATIONS,
    *sending.OPERATIONS,
    *streams.OPERATIONS,
    *templates.OPERATIONS,
    *inbound.OPERATIONS,
    *domains.OPERATIONS,
    *tracking_domains.OPERATIONS,
    *webhooks.OPERATIONS,
    *pools.OPERATIONS,
    *suppressions.OPERATIONS,
    *recipients.OPERATIONS,
    *jobs.OPERATIONS,
    *audit.OPERATIONS,
    *egress.OPERATIONS,
    *egress_addresses.OPERATIONS,
    *egress_accounting.OPERATIONS,
    *egress_orders.OPERATIONS,
    *egress_documents.OPERATIONS,
    *egress_rules.OPERATIONS,
    *egress_settings.OPERATIONS,
)


@cache
def by_path() -> Mapping[str, Mapping[str, Operation]]:
    """Return the operations by path and method. Raises ValueError if two are the same."""
    found: dict[str, dict[str, Operation]] = defaultdict(dict)
    names = set()
    for each in OPERATIONS:
        if each.method in found[each.path] or each.id in names:
            raise ValueError(f"{each.id}: {each.method} {each.path} is there twice")
        found[each.path][each.method] = each
        names.add(each.id)
    return found
