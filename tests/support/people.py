"""People on a platform in memory: users with a token, and members of an organisation."""

import re
from dataclasses import dataclass

from tests.support.management import Management


@dataclass(frozen=True)
class Person:
    """A user's id, and a personal token that may do whatever its user may."""

    id: str
    token: str


def person(platform: Management, name: str, *, administrator: bool = False) -> Person:
    """Make a user with a token."""
    body = {"email": f"{name}@people.test", "name": name, "administrator": administrator}
    id_ = platform.made("/users", body)["id"]
    token = platform.made(f"/users/{id_}/tokens", {"name": "first", "scopes": ["*"]})["secret"]
    return Person(id_, token)


def member(
    platform: Management,
    organisation: str,
    role: str,
    servers: list[str] | None = None,
    name: str = "",
) -> Person:
    """Make a user who is a member."""
    who = person(platform, name or f"{role}-{len(platform.mail.sent)}-{platform.registry.writes}")
    body = {"user": who.id, "role": role, "servers": servers}
    platform.made(f"/organisations/{organisation}/members", body)
    return who


def mailed_token(platform: Management) -> str:
    """Return the invitation token of the last mail."""
    found = re.search(r"#(mri_\S+)", platform.mail.sent[-1].text)
    assert found is not None
    return found[1]
