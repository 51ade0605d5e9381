"""`mailroom bootstrap`: a new platform's keys, its first administrator, and a key to begin with."""

from pathlib import Path
from typing import Annotated

import typer

from cli.errors import UsageError
from cli.session import session_of
from mailroom.domain.dns.dkim_record import KeyKind
from mailroom.domain.tenancy.access import ALL, Actor, Kind, Principal
from mailroom.domain.tenancy.record import ABSENT, Change, Place, Record
from mailroom.domain.tenancy.resource import PLATFORM
from mailroom.errors import MailroomError
from mailroom.usecases.bootstrap import Bootstrapped, BootstrapPorts, complete_platform_keys
from mailroom.usecases.bootstrap import bootstrap as make_platform
from mailroom.usecases.keys import Holder, create_key

_KID = 6  # characters of the id of a key
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_ACTOR = Actor("platform", "bootstrap", "bootstrap --again")


def bootstrap(
    ctx: typer.Context,
    email: Annotated[str, typer.Option(help="The administrator's address.")] = "",
    name: Annotated[str, typer.Option(help="The administrator's name.")] = "Administrator",
    signing_key: Annotated[
        str, typer.Option(help="Postal's signing.key: webhooks are signed with it from now on.")
    ] = "",
    *,
    again: Annotated[
        bool, typer.Option("--again", help="Make another platform key where one was lost.")
    ] = False,
) -> None:
    """Begin a platform: its own keys, an administrator, and a platform key, shown once.

    Works on the directory table itself, with AWS credentials and the names of table and key
    (MAILROOM_TABLE_DIRECTORY, MAILROOM_KEY_SECRETS) in the environment.
    """
    # Not at the top: all other commands do without.
    from cli.wiring import bootstrap_ports

    session = session_of(ctx)
    ports = bootstrap_ports(session.environment)
    if signing_key:
        keep_signing_key(_octets(signing_key), ports)
    if again:
        session.printer.value(another_key(ports))
    else:
        session.printer.value(first_hour(email, name, ports))
    session.printer.note("The secrets are shown now and never again.")


def first_hour(email: str, name: str, ports: BootstrapPorts) -> dict[str, object]:
    """Make what a new platform lacks. Raises UsageError where there is an administrator."""
    if "@" not in email:
        raise UsageError("--email is no address")
    try:
        made: Bootstrapped = make_platform(email, name, ports)
    except MailroomError as error:
        raise UsageError(f"{error}; for another platform key say --again") from None
    return {
        "administrator": made.administrator.id,
        "email": email,
        "administrator_token": made.token,
        "platform_key": made.key,
        "platform_keys_made": list(made.made),
    }


def another_key(ports: BootstrapPorts) -> dict[str, object]:
    """Make another platform key, and platform keys of purposes that are new."""
    made = complete_platform_keys(ports)
    principal = Principal(Kind.PLATFORM, _ACTOR.id, _ACTOR.name, frozenset({ALL}))
    fields = {"name": _ACTOR.name, "scopes": [ALL], "networks": [], "expires_at": None}
    holder = Holder(principal, _ACTOR)
    try:
        shown = create_key(PLATFORM, fields, holder=holder, registrar=ports.registrar)
    except MailroomError as error:
        raise UsageError(str(error)) from None
    return {
        "id": shown.resource.id,
        "platform_key": shown.secret,
        "platform_keys_made": list(made),
    }


def keep_signing_key(private: bytes, ports: BootstrapPorts) -> str:
    """Sign webhooks with a key from now on, so that whoever verifies them need not change.

    The newest key signs; what was signed with others is still verified by their public keys.
    Returns the id of the key. Raises UsageError for what is no RSA key.
    """
    try:
        material = ports.keys.inspect(private)
    except ValueError as error:
        raise UsageError(f"the signing key: {error}") from None
    if material.kind is not KeyKind.RSA:
        raise UsageError("the signing key is no RSA key")
    registrar = ports.registrar
    drawn = registrar.chance.bits(5 * _KID)
    kid = "".join(_ALPHABET[(drawn >> 5 * place) & 31] for place in range(_KID))
    record = Record(
        Place(PLATFORM, f"key#webhook#{kid}"),
        {"public": _pem(material.public), "created_at": registrar.clock.now()},
        secret=ports.keyring.wrap(material.private, "platform#webhook"),
    )
    entry = {"kind": "platform-key", "id": kid, "parent": PLATFORM, "after": {"purpose": "webhook"}}
    note = registrar.note("import", entry, organisation="", actor=_ACTOR)
    registrar.registry.write([Change.put(record, ABSENT), note])
    return kid


def _pem(public: str) -> str:
    lines = [public[start : start + 64] for start in range(0, len(public), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def _octets(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
