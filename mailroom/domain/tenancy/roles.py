"""Who may make whom what in an organisation: nobody gives a role higher than their own."""

from collections.abc import Mapping

from mailroom.domain.tenancy.access import Kind, Principal, Role

RANKS: Mapping[Role, int] = {
    Role.OWNER: 5,
    Role.ADMIN: 4,
    Role.DEVELOPER: 3,
    Role.SUPPORT: 2,
    Role.READ_ONLY: 1,
}
_PLATFORM = 6


def rank_of(principal: Principal, organisation: str) -> int:
    """Return how high a principal stands in an organisation; 0 may give no role at all.

    A key of the organisation stands as high as an admin: were it an owner, every admin who can
    make keys would be one. A member narrowed to servers manages nobody.
    """
    if principal.kind is Kind.PLATFORM or principal.is_administrator:
        return _PLATFORM
    if principal.kind is Kind.ORGANISATION and principal.organisation == organisation:
        return RANKS[Role.ADMIN]
    part = principal.membership(organisation)
    return RANKS[part.role] if part and part.servers is None else 0


def may_make(principal: Principal, organisation: str, role: Role) -> bool:
    """Say whether `principal` may give, change or take `role` in an organisation."""
    return RANKS[role] <= rank_of(principal, organisation)
