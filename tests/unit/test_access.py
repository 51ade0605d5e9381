"""Who may do what: the decision over all of its inputs, the roles, and the page that tells them."""

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.tenancy.access import (
    ALL,
    ROLE_SCOPES,
    SERVER_SCOPES,
    Kind,
    Membership,
    Principal,
    Role,
    Scope,
    Target,
    Verdict,
    decide,
    may_grant,
)
from mailroom.domain.tenancy.roles import RANKS, may_make, rank_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access.md"
OURS, THEIRS = "org_ours", "org_theirs"
SERVER, SECOND = "server-one", "server-two"
TARGETS = [
    Target(),
    Target(OURS),
    Target(OURS, SERVER),
    Target(OURS, SECOND),
    Target(THEIRS),
    Target(THEIRS, "server-of-theirs"),
]
BELONGINGS = st.one_of(st.none(), st.frozensets(st.sampled_from([SERVER, SECOND])))
MEMBERSHIPS = st.lists(
    st.builds(Membership, st.sampled_from([OURS, THEIRS]), st.sampled_from(Role), BELONGINGS),
    max_size=2,
    unique_by=lambda each: each.organisation,
).map(tuple)
PRINCIPALS = st.builds(
    Principal,
    kind=st.sampled_from(Kind),
    id=st.just("id"),
    name=st.just("name"),
    scopes=st.frozensets(st.sampled_from([*Scope, ALL])),
    organisation=st.sampled_from(["", OURS, THEIRS]),
    server=st.sampled_from(["", SERVER, SECOND]),
    memberships=MEMBERSHIPS,
    is_administrator=st.booleans(),
)
SCOPES = st.sampled_from(Scope)
TARGET = st.sampled_from(TARGETS)


def user(role: Role, servers: frozenset[str] | None = None, *scopes: str) -> Principal:
    part = (Membership(OURS, role, servers),)
    return Principal(Kind.USER, "u", "U", frozenset(scopes or {ALL}), memberships=part)


@pytest.mark.parametrize(("role", "scope"), list(product(Role, Scope)))
def test_a_member_may_do_what_the_role_has_and_nothing_else(role: Role, scope: Scope) -> None:
    allowed = scope in ROLE_SCOPES[role]
    for target in (Target(OURS), Target(OURS, SERVER)):
        verdict = decide(user(role), scope, target)
        assert (verdict is Verdict.ALLOWED) == allowed
        assert verdict is not Verdict.HIDDEN
        assert decide(user(role, None, Scope.SERVERS_READ), scope, target) is (
            Verdict.ALLOWED if allowed and scope is Scope.SERVERS_READ else Verdict.FORBIDDEN
        )
    assert decide(user(role), scope, Target(THEIRS)) is Verdict.HIDDEN
    assert decide(user(role), scope, Target()) is Verdict.FORBIDDEN


@pytest.mark.parametrize(("role", "scope"), list(product(Role, Scope)))
def test_a_member_narrowed_to_servers_changes_nothing_beyond_them(role: Role, scope: Scope) -> None:
    narrowed, has = user(role, frozenset({SERVER})), scope in ROLE_SCOPES[role]
    inside = decide(narrowed, scope, Target(OURS, SERVER))
    assert inside is (Verdict.ALLOWED if has else Verdict.FORBIDDEN)
    assert decide(narrowed, scope, Target(OURS, SECOND)) is Verdict.HIDDEN
    outside = decide(narrowed, scope, Target(OURS))
    reads = has and scope.endswith(":read")
    assert outside is (Verdict.ALLOWED if reads else Verdict.FORBIDDEN)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_servers_key_does_what_is_a_servers(scope: Scope) -> None:
    key = Principal(Kind.SERVER, "k", "K", frozenset({ALL}), OURS, SERVER)
    inside = decide(key, scope, Target(OURS, SERVER))
    assert (inside is Verdict.ALLOWED) == (scope in SERVER_SCOPES)
    assert decide(key, scope, Target(OURS, SECOND)) is Verdict.HIDDEN
    above = decide(key, scope, Target(OURS))
    assert (above is Verdict.ALLOWED) == (scope is Scope.ORGANISATIONS_READ)


@given(PRINCIPALS, SCOPES, TARGET)
def test_every_question_has_an_answer(principal: Principal, scope: Scope, target: Target) -> None:
    assert decide(principal, scope, target) in Verdict


@given(PRINCIPALS, SCOPES, TARGET, st.sampled_from([*Scope, ALL]))
def test_one_scope_more_never_takes_anything_away(
    principal: Principal, scope: Scope, target: Target, more: str
) -> None:
    wider = Principal(
        principal.kind, principal.id, principal.name, principal.scopes | {more},
        principal.organisation, principal.server, principal.memberships,
        principal.is_administrator,
    )  # fmt: skip
    before, after = decide(principal, scope, target), decide(wider, scope, target)
    assert (before is Verdict.HIDDEN) == (after is Verdict.HIDDEN)
    assert before is not Verdict.ALLOWED or after is Verdict.ALLOWED


@given(PRINCIPALS, SCOPES, TARGET)
def test_what_is_hidden_is_so_whatever_is_asked(
    principal: Principal, scope: Scope, target: Target
) -> None:
    hidden = decide(principal, scope, target) is Verdict.HIDDEN
    assert all((decide(principal, each, target) is Verdict.HIDDEN) == hidden for each in Scope)


@given(PRINCIPALS, st.frozensets(st.sampled_from([*Scope, ALL]), min_size=1), TARGET)
def test_a_key_given_on_can_do_no_more_than_its_giver(
    principal: Principal, scopes: frozenset[str], target: Target
) -> None:
    if not target.organisation or not may_grant(principal, scopes, target):
        return
    given = Principal(Kind.ORGANISATION, "k", "K", scopes, target.organisation)
    for scope in Scope:
        if decide(given, scope, target) is Verdict.ALLOWED:
            assert decide(principal, scope, target) is Verdict.ALLOWED


def test_only_the_platform_does_what_is_the_platforms() -> None:
    for kind in Kind:
        who = Principal(kind, "k", "K", frozenset({ALL}), OURS, SERVER)
        for target in (Target(), Target(OURS)):
            allowed = decide(who, Scope.PLATFORM, target) is Verdict.ALLOWED
            assert allowed == (kind is Kind.PLATFORM)


@pytest.mark.parametrize(("role", "other"), list(product(Role, Role)))
def test_a_role_is_given_by_one_that_is_no_lower(role: Role, other: Role) -> None:
    assert may_make(user(role), OURS, other) == (RANKS[role] >= RANKS[other])
    assert not may_make(user(role), THEIRS, other)
    assert not may_make(user(role, frozenset({SERVER})), OURS, other)


def test_a_key_of_an_organisation_ranks_as_an_admin() -> None:
    key = Principal(Kind.ORGANISATION, "k", "K", frozenset({ALL}), OURS)
    assert rank_of(key, OURS) == RANKS[Role.ADMIN]
    assert rank_of(key, THEIRS) == 0
    assert rank_of(Principal(Kind.SERVER, "k", "K", frozenset({ALL}), OURS, SERVER), OURS) == 0
    assert rank_of(Principal(Kind.PLATFORM, "k", "K"), OURS) > RANKS[Role.OWNER]


def test_the_page_has_the_roles_as_they_are() -> None:
    rows = re.findall(r"^\| `([a-z]+:?[a-z]*)` \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    told = {
        name: [cell.strip() == "yes" for cell in cells.split("|")]
        for name, cells in rows
        if name in tuple(Scope)
    }
    assert told == {
        str(scope): [*(scope in ROLE_SCOPES[role] for role in Role), scope in SERVER_SCOPES]
        for scope in Scope
    }
