"""What the tool needs of AWS itself: for the first hour of a platform, old links and migrations.

Everything else goes through the API. Nothing here is imported before such a command runs.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cli.errors import UsageError
from mailroom.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from mailroom.ports.legacy_links import LegacyLinks
    from mailroom.ports.migration import Checkpoints, Work
    from mailroom.usecases.bootstrap import BootstrapPorts


def settings_of(environment: Mapping[str, str]) -> Settings:
    """Read the platform's settings. Raises UsageError."""
    try:
        return load_settings(environment)
    except SettingsError as error:
        raise UsageError(str(error)) from None


def resource(settings: Settings, kind: str, name: str) -> str:
    """Return the name of an AWS resource. Raises UsageError where the environment has none."""
    try:
        return settings.resource(kind, name)
    except SettingsError as error:
        raise UsageError(
            f"{error}; this command works on the platform's tables itself and needs their names"
            " and AWS credentials in the environment"
        ) from None


def bootstrap_ports(environment: Mapping[str, str]) -> "BootstrapPorts":
    """Return what makes a platform's first administrator. Raises UsageError."""
    settings = settings_of(environment)
    table, key = resource(settings, "table", "directory"), resource(settings, "key", "secrets")
    if not environment.get("MAILROOM_ENVIRONMENT"):
        # The platform refuses ids and keys that bear another deployment's mark.
        raise UsageError("MAILROOM_ENVIRONMENT is not set: it must be that of the platform")

    from mailroom.adapters.clients import client
    from mailroom.adapters.dkim_keys import CryptographyDkimKeys
    from mailroom.adapters.dynamo_registry import DynamoRegistry
    from mailroom.adapters.kms_keyring import KmsKeyring
    from mailroom.adapters.system import SystemChance, SystemClock
    from mailroom.adapters.tables import DirectoryRow, bound
    from mailroom.usecases.bootstrap import BootstrapPorts
    from mailroom.usecases.registrar import Registrar

    registry = DynamoRegistry(bound(DirectoryRow, table))
    registrar = Registrar(registry, SystemClock(), SystemChance(), settings.environment)
    return BootstrapPorts(registrar, KmsKeyring(client("kms"), key), CryptographyDkimKeys())


def legacy_links(environment: Mapping[str, str]) -> "LegacyLinks":
    """Return where imported links are kept. Raises UsageError."""
    table = resource(settings_of(environment), "table", "directory")

    from mailroom.adapters.dynamo_legacy_links import DynamoLegacyLinks
    from mailroom.adapters.system import SystemClock
    from mailroom.adapters.tables import DirectoryRow, bound

    return DynamoLegacyLinks(bound(DirectoryRow, table), SystemClock())


def migrations(environment: Mapping[str, str]) -> "tuple[list[Work], Checkpoints]":
    """Return the migrations in their order, and where they keep how far they are.

    Raises UsageError.
    """
    settings = settings_of(environment)
    directory, mail = resource(settings, "table", "directory"), resource(settings, "table", "mail")
    counters = resource(settings, "table", "counters")
    ports = bootstrap_ports(environment)

    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_counters import MoveCounters
    from mailroom.adapters.dynamo_migration import (
        DirectoryWalk,
        DropPrivateSet,
        IndexMail,
        RegistryCheckpoints,
    )
    from mailroom.usecases.adopt_rows import AdoptPorts, AdoptRows
    from mailroom.usecases.runtime_rows import WriteRuntimeRows

    dynamodb = client("dynamodb")
    walk = DirectoryWalk(dynamodb, directory)
    works: list[Work] = [
        AdoptRows(
            AdoptPorts(
                ports.registrar,
                walk,
                ports.keyring,
                ports.keys,
                settings.names.verification_prefix,
            )
        ),
        DropPrivateSet(dynamodb, directory),
        IndexMail(dynamodb, mail),
        MoveCounters(dynamodb, counters),
        WriteRuntimeRows(ports.registrar.registry, walk),
    ]
    return works, RegistryCheckpoints(ports.registrar.registry)
