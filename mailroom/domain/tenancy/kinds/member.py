"""Memberships: a user's part in an organisation. Its id is the user's."""

from collections.abc import Sequence

from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind


def _runtime(member: Resource) -> Sequence[Record]:
    body = {"role": member.fields["role"], "servers": member.fields.get("servers")}
    return [Record(Place(f"user#{member.id}", f"m#{member.organisation}"), body)]


MEMBER = ResourceKind(name="member", prefix="usr", most=1_000, recoverable=False, runtime=_runtime)
