"""What the system lets a process of ours use: file descriptors and memory.

A process that runs away ends up alone in the wall: its neighbours on the host keep working.
"""

import contextlib
import resource
from collections.abc import Mapping
from dataclasses import dataclass

from mailroom.settings import SettingsError

SPARE_FILES = 256  # what a process opens besides its mail connections: AWS, DNS, logs, journal
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """Limits to set; None leaves one as it is (for `files`: raised to what the system allows)."""

    files: int | None = None
    memory: int | None = None  # octets


def read_process_limits(environment: Mapping[str, str]) -> ProcessLimits:
    """Read MAILROOM_MAX_FILES and MAILROOM_MAX_MEMORY_MB. Raises SettingsError."""
    megabytes = _number(environment, "MAILROOM_MAX_MEMORY_MB", 1 << 20)
    return ProcessLimits(
        files=_number(environment, "MAILROOM_MAX_FILES", 1 << 30),
        memory=megabytes * _MEGABYTE if megabytes else None,
    )


def apply_process_limits(limits: ProcessLimits) -> None:
    """Set the limits of this process. Raises SettingsError for more than the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits.files is not None:
        _set(resource.RLIMIT_NOFILE, limits.files, "MAILROOM_MAX_FILES")
    else:
        with contextlib.suppress(ValueError, OSError):  # "unlimited" can be more than there is
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if limits.memory is not None:
        # Private writable memory. The address space would count what is mapped and never touched.
        _set(resource.RLIMIT_DATA, limits.memory, "MAILROOM_MAX_MEMORY_MB")


def check_descriptors(connections: int, setting: str) -> None:
    """Raise SettingsError if so many connections, set by `setting`, would run out of descriptors.

    Found out at start and not under load, when it is mail that pays.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE_FILES
    if allowed != resource.RLIM_INFINITY and needed > allowed:
        raise SettingsError(
            f"{setting}: {connections} connections need {needed} file descriptors and this process "
            f"may have {allowed}; lower it, or raise MAILROOM_MAX_FILES or the system's limit "
            "(docs/settings.md)"
        )


def _set(kind: int, value: int, setting: str) -> None:
    _, most = resource.getrlimit(kind)
    try:
        resource.setrlimit(kind, (value, most))
    except (ValueError, OSError):
        raise SettingsError(
            f"{setting} is more than the system allows this process, {most} (docs/settings.md)"
        ) from None


def _number(environment: Mapping[str, str], name: str, ceiling: int) -> int | None:
    text = environment.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) <= ceiling):
        raise SettingsError(f"{name}: {text!r} is no number from 1 to {ceiling} (docs/settings.md)")
    return int(text)
