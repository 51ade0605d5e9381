"""Circles that may not become empty, also when two leave at the same moment."""

from collections.abc import Sequence

import pytest

from mailroom.domain.tenancy.access import ALL, Actor, Kind, Principal
from mailroom.domain.tenancy.kinds.member import MEMBER
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.user import USER
from mailroom.domain.tenancy.record import Change, Place
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.errors import AlreadyExistsError, LastOneError, RevisionError, TooManyError
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.registry import MemoryRegistry
from mailroom.ports.registry import ConflictError
from mailroom.usecases.keys import Holder
from mailroom.usecases.members import add_member, leave
from mailroom.usecases.quorum import MOST, circle, moved, owners_of, repeated
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.users import create_user, new_user

ORG = "org_1"
ACTOR = Actor("platform", "root", "root")
ROOT = Holder(Principal(Kind.PLATFORM, "root", "root", frozenset({ALL})), ACTOR)
OWNER = {"role": "owner", "servers": None}


class Busy(MemoryRegistry):
    """A registry in which somebody else does `meanwhile` just before the next write."""

    meanwhile = None

    def write(self, changes: Sequence[Change]) -> None:
        act, self.meanwhile = self.meanwhile, None
        if act is not None:
            act()
        super().write(changes)


@pytest.fixture
def registrar() -> Registrar:
    made = Registrar(Busy(), FixedClock(), FixedChance(1), "test")
    fields = {"name": "Acme", "permalink": "acme"}
    made.create(ORGANISATION, PLATFORM, fields, actor=ACTOR, organisation=ORG, id_=ORG)
    return made


def owner(registrar: Registrar, name: str) -> str:
    fields = new_user(f"{name}@people.test", name)
    user = create_user(fields, actor=ACTOR, registrar=registrar)
    return add_member(ORG, user.id, OWNER, giver=ROOT, registrar=registrar).id


def test_of_two_owners_who_leave_at_once_one_stays(registrar: Registrar) -> None:
    first, second = owner(registrar, "first"), owner(registrar, "second")
    registry = registrar.registry
    assert isinstance(registry, Busy)
    registry.meanwhile = lambda: leave(ORG, second, actor=ACTOR, registrar=registrar)
    with pytest.raises(LastOneError):
        leave(ORG, first, actor=ACTOR, registrar=registrar)
    assert circle(owners_of(ORG), registry) == {first}
    members, _ = registrar.page(MEMBER, f"organisation#{ORG}", limit=10)
    assert [each.id for each in members] == [first]


def test_the_last_owner_of_a_deleted_organisation_may_go(registrar: Registrar) -> None:
    first = owner(registrar, "first")
    with pytest.raises(LastOneError):
        leave(ORG, first, actor=ACTOR, registrar=registrar)
    gone = registrar.read(ORGANISATION, PLATFORM, ORG)
    registrar.delete(ORGANISATION, gone, actor=ACTOR)
    leave(ORG, first, actor=ACTOR, registrar=registrar)
    assert circle(owners_of(ORG), registrar.registry) == frozenset()


def test_a_circle_has_room_for_a_hundred(registrar: Registrar) -> None:
    place, registry = Place("organisation#x", "owners"), registrar.registry
    for number in range(MOST):
        registry.write(moved(place, f"usr_{number}", registry, inside=True))
    assert moved(place, "usr_0", registry, inside=True) == []
    with pytest.raises(TooManyError):
        moved(place, "usr_more", registry, inside=True)


def test_who_is_always_overtaken_is_told_so() -> None:
    def act() -> None:
        raise ConflictError(Place("x"))

    with pytest.raises(RevisionError):
        repeated(act)


def test_two_users_with_one_address_are_not_made_at_once(registrar: Registrar) -> None:
    registry = registrar.registry
    assert isinstance(registry, Busy)

    def make() -> Resource:
        fields = new_user("ann@people.test", "Ann")
        return create_user(fields, actor=ACTOR, registrar=registrar)

    registry.meanwhile = make
    with pytest.raises(AlreadyExistsError, match="email is taken"):
        make()
    assert len(registrar.page(USER, PLATFORM, limit=10)[0]) == 1
