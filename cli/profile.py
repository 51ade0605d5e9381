"""Profiles: which platform, with which key, and what to work on unless the command says.

They are kept in a TOML file; a key in it, or in the file it names, must be readable by its owner
alone. `MAILROOM_URL` and `MAILROOM_API_KEY` go before the file, so that scripts need none.
"""

import json
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_KNOWN = {"url", "key", "key_file", "organisation", "server"}
DEFAULT = "default"
DEFAULTS = frozenset({"organisation", "server"})  # path parameters that a profile can fill in


@dataclass(frozen=True, slots=True)
class Profile:
    """One platform and how to speak to it. `url` and `key` may be empty."""

    name: str = DEFAULT
    url: str = ""
    key: str = field(default="", repr=False)
    organisation: str = ""
    server: str = ""

    def default(self, parameter: str) -> str:
        """Return what a path parameter is when the command does not say, or ""."""
        return {"organisation": self.organisation, "server": self.server}.get(parameter, "")


def config_path(environment: Mapping[str, str]) -> Path:
    """Return where the profiles are kept."""
    if environment.get("MAILROOM_CONFIG"):
        return Path(environment["MAILROOM_CONFIG"])
    home = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "mailroom" / "config.toml"


def load_profile(environment: Mapping[str, str], *, name: str = "", url: str = "") -> Profile:
    """Return the profile to use: named, else $MAILROOM_PROFILE, else the file's default.

    Raises UsageError for a file that cannot be used, a profile that is not there, a URL that may
    not carry a key, and a key that others can read.
    """
    path = config_path(environment)
    stored = read_profiles(path)
    wanted = name or environment.get("MAILROOM_PROFILE", "")
    if wanted and wanted not in stored.profiles:
        raise UsageError(f"{path} has no profile {wanted!r}")
    chosen = wanted or stored.default
    fields = stored.profiles.get(chosen, {})
    address = url or environment.get("MAILROOM_URL") or fields.get("url", "")
    key = environment.get("MAILROOM_API_KEY") or _key(path, fields)
    return Profile(
        name=chosen,
        url=checked_url(address) if address else "",
        key=key,
        organisation=environment.get("MAILROOM_ORGANISATION") or fields.get("organisation", ""),
        server=environment.get("MAILROOM_SERVER") or fields.get("server", ""),
    )


@dataclass(frozen=True, slots=True)
class Profiles:
    """What the file holds."""

    default: str = DEFAULT
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_profiles(path: Path) -> Profiles:
    """Read the file; one that is not there has no profiles. Raises UsageError."""
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Profiles()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    profiles = stored.get("profiles", {})
    if not isinstance(profiles, dict):
        raise UsageError(f"{path}: profiles is no table")
    return Profiles(
        str(stored.get("default", DEFAULT)),
        {name: _fields(path, name, fields) for name, fields in profiles.items()},
    )


def write_profiles(path: Path, profiles: Profiles) -> None:
    """Write the file for its owner alone, whole or not at all."""
    lines = [f"default = {_toml(profiles.default)}", ""]
    for name, fields in profiles.profiles.items():
        lines += [f"[profiles.{name}]", *(f"{k} = {_toml(v)}" for k, v in fields.items()), ""]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, "\n".join(lines))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600, exist_ok=False)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def checked_name(name: str) -> str:
    """Return `name` if a profile may have it. Raises UsageError."""
    if not _NAME.match(name):
        raise UsageError("a profile's name is 1 to 40 letters, digits, - or _")
    return name


def checked_url(url: str) -> str:
    """Return the base URL without a slash at its end.

    Raises UsageError unless it is https, or http to this machine: a key never travels in clear.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is not the URL of an API, such as https://api.example.com")
    if parts.username or parts.password:
        raise UsageError("the URL of an API has no user name or password in it")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise UsageError("a key is not sent in clear text: http:// is for this machine only")
    return url.rstrip("/")


def masked(key: str) -> str:
    """Return enough of a key to recognise it by, and not enough to use it."""
    return f"{key[:6]}…" if len(key) > 12 else "…" if key else ""


def _key(config: Path, fields: Mapping[str, str]) -> str:
    if fields.get("key"):
        _require_private(config)
        return fields["key"]
    if not fields.get("key_file"):
        return ""
    path = config.parent / Path(fields["key_file"]).expanduser()
    try:
        _require_private(path)
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the key file cannot be read: {error}") from None


def _require_private(path: Path) -> None:
    # Windows has no such mode bits; there the user's folder protects it.
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077 and path.drive == "":
        raise UsageError(f"others can read the key in {path}: chmod 600 {path}")


def _fields(path: Path, name: str, fields: Any) -> Mapping[str, str]:
    if not isinstance(fields, dict) or not all(isinstance(v, str) for v in fields.values()):
        raise UsageError(f"{path}: profile {name!r} is no table of texts")
    unknown = set(fields) - _KNOWN
    if unknown:
        raise UsageError(f"{path}: profile {name!r} has no setting {sorted(unknown)[0]!r}")
    return fields


def _toml(text: str) -> str:
    # JSON's escapes are TOML's, and with real characters there are no surrogate pairs.
    return json.dumps(text, ensure_ascii=False)
