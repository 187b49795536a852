"""Reads a daemon's configuration: a TOML file becomes one of `daemons.settings`.

A fault in it is reported in one line: the file, the key, the expected and the found value.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from daemons.files.explained import checked, read_toml
from daemons.settings import (
    Application,
    DaemonSettings,
    IdentityFiles,
    Listen,
    Log,
    SessionDirectorySettings,
    Settings,
    TerminalServerSettings,
)
from tsproto.addresses import is_loopback
from tsproto.errors import TsfarmError

S = TypeVar("S", bound=DaemonSettings)

# The keys that name files and folders, relative to the folder of the configuration file.
PATHS: Mapping[type[Settings], tuple[str, ...]] = {
    IdentityFiles: ("certificate", "key", "authority"),
    DaemonSettings: ("state", "clock_file"),
    TerminalServerSettings: ("accounts",),
    SessionDirectorySettings: ("accounts",),
    Log: ("file",),
    Application: ("folder",),
}


class ConfigError(TsfarmError):
    """A file that a daemon is configured with cannot be used as it is."""


def read_settings(path: Path, kind: type[S]) -> S:
    """The file's settings, every path in them absolute; raises ConfigError."""
    settings = checked(read_toml(path, ConfigError), kind, str(path), ConfigError)
    _check_listen(path, settings.listen)
    resolved: S = _resolve(settings, path.absolute().parent)
    return resolved


def _check_listen(path: Path, listen: Listen) -> None:
    if not (listen.tls or listen.plain_anywhere or is_loopback(listen.host)):
        raise ConfigError(
            f"{path}: listen.tls: expected true, because {listen.host} is no loopback address;"
            " plain TCP there needs plain_anywhere = true"
        )


def _resolve(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _resolve(item, folder) for key, item in value.items()}
    if not isinstance(value, Settings):
        return value
    paths = {name for kind, names in PATHS.items() if isinstance(value, kind) for name in names}
    resolved = {}
    for name in value.__struct_fields__:
        item = getattr(value, name)
        is_path = name in paths and item != ""
        resolved[name] = str(folder / item) if is_path else _resolve(item, folder)
    return type(value)(**resolved)
