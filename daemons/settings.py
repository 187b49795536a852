"""The settings of each daemon: one struct a daemon, its fields the keys of its TOML file.

Every key has a type, a bound, and a default where one makes sense. `daemons.config` reads a file
into these, and names file, key and expectation when one is wrong. Paths are relative to the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias, get_args, get_type_hints

import msgspec
from msgspec import Meta

from tsproto import limits
from tsproto.messages import Host, Name, OptionalName, Port, ProductVersion

Path: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4096)]
PortOrAny: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)]
OptionalHost: TypeAlias = Annotated[
    str, Meta(max_length=253, pattern=r"^[A-Za-z0-9.:_-]*\Z", description="a host, or empty")
]
PositiveSeconds: TypeAlias = Annotated[float, Meta(gt=0, le=366 * 86_400)]

# Marks a key whose new value a running daemon could take over. No daemon reads its file again yet:
# until one calls `changes`, every key needs a restart.
REREAD = Meta(extra={"reread": True})


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of a configuration file; an unknown key is an error."""


class Listen(Settings, frozen=True, kw_only=True):
    """Where a daemon listens. `advertise` is what others are told to dial; empty means `host`.

    `tls = false` is plain TCP: allowed on loopback addresses, elsewhere only together with
    `plain_anywhere = true`.
    """

    host: Host = "127.0.0.1"
    port: PortOrAny
    advertise: OptionalHost = ""
    tls: bool = True
    plain_anywhere: bool = False


class IdentityFiles(Settings, frozen=True, kw_only=True):
    """PEM files made by `tsfarm pki`. A daemon's certificate holds its name and role."""

    certificate: Path
    key: Path
    authority: Path


class ServerAddress(Settings, frozen=True, kw_only=True):
    """Another daemon of the farm. Its certificate must have this `name`, unless that is empty."""

    host: Host
    port: Port
    name: OptionalName = ""


class Discovery(Settings, frozen=True, kw_only=True):
    """How daemons find license servers.

    A daemon searches the scopes that are set, in the order workgroup, domain, site; a license
    server answers to the scopes that are set. With `servers` given no broadcast is ever sent.
    Queries leave from `source`, by default the address that the daemon listens on, and go to
    `broadcast`, an IPv4 address.
    """

    workgroup: OptionalName = ""
    domain: OptionalName = ""
    site: OptionalName = ""
    servers: tuple[ServerAddress, ...] = ()
    broadcast: Host = "255.255.255.255"
    port: Port = limits.DISCOVERY_PORT
    source: OptionalHost = ""
    window_seconds: PositiveSeconds = limits.DISCOVERY_WINDOW_SECONDS
    retry_seconds: PositiveSeconds = limits.DISCOVERY_RETRY_SECONDS
    verify_seconds: PositiveSeconds = limits.DISCOVERY_VERIFY_SECONDS


class Log(Settings, frozen=True, kw_only=True):
    """`file` empty means standard error; `format` auto is text on a terminal, JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"
    file: Annotated[str, Meta(max_length=4096)] = ""


class DaemonSettings(Settings, frozen=True, kw_only=True):
    """The settings of every daemon. `state` is a folder of the daemon's own, made when missing.

    `clock_file` is for labs: it holds an offset in seconds that is added to the clock, and permits
    WarpClock. `loop` names the event loop.
    """

    farm: Name
    listen: Listen
    identity: Annotated[IdentityFiles, REREAD]
    state: Path
    log: Annotated[Log, REREAD] = Log()
    clock_file: Annotated[str, Meta(max_length=4096)] = ""
    loop: Literal["uvloop", "asyncio"] = "uvloop"


class KeyPack(Settings, frozen=True, kw_only=True):
    """Tokens bought together. Each `key_pack` is counted once, however often it is read."""

    key_pack: Name
    product: Name = "terminal-server"
    product_version: ProductVersion = 1
    tokens: Annotated[int, Meta(ge=1, le=limits.KEY_PACK_TOKENS_MAX)]


class LicenseServerSettings(DaemonSettings, frozen=True, kw_only=True):
    """`serves` lists the terminal servers that may ask for licenses; empty means every one whose
    certificate the farm's authority signed. `sweep_seconds` is the time between two searches for
    expired tokens while no request comes."""

    discovery: Discovery = Discovery()
    key_packs: Annotated[tuple[KeyPack, ...], REREAD] = ()
    serves: Annotated[tuple[Name, ...], REREAD] = ()
    sweep_seconds: PositiveSeconds = 3600.0


class SessionDirectorySettings(DaemonSettings, frozen=True, kw_only=True):
    """`serves` lists the terminal servers that may join; empty means every one of the farm. With
    `accounts`, the farm's accounts file, users' proofs are checked here too; without, terminal
    servers are believed."""

    serves: Annotated[tuple[Name, ...], REREAD] = ()
    server_lost_seconds: PositiveSeconds = limits.SERVER_LOST_SECONDS
    reservation_seconds: PositiveSeconds = limits.RESERVATION_SECONDS
    accounts: Annotated[str, Meta(max_length=4096)] = ""


class Application(Settings, frozen=True, kw_only=True):
    """A program that users may start by name instead of a shell."""

    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    folder: Annotated[str, Meta(max_length=4096)] = ""


class Sessions(Settings, frozen=True, kw_only=True):
    """`shell` empty means the system user's own. A terminal server that runs as root starts
    sessions as the account's system user, and as root only with `allow_root = true`. One that
    does not runs all sessions as its own user, and refuses accounts that name another one unless
    `shared_user = true`.

    `memory_mib`, `processes` and `cpu_weight` limit each session where the keeper may make control
    groups (cgroup v2); 0 means no limit."""

    shell: Annotated[tuple[str, ...], REREAD] = ()
    applications: Annotated[dict[Name, Application], REREAD] = {}
    sessions_max: Annotated[int, Meta(ge=1, le=100_000)] = limits.SESSIONS_PER_SERVER_MAX
    replay_bytes: Annotated[int, Meta(ge=4096, le=64 * 1024 * 1024)] = limits.REPLAY_BYTES
    screen: bool = True
    allow_root: bool = False
    shared_user: bool = False
    memory_mib: Annotated[int, REREAD, Meta(ge=0, le=2**24)] = 0
    processes: Annotated[int, REREAD, Meta(ge=0, le=2**22)] = 0
    cpu_weight: Annotated[int, REREAD, Meta(ge=0, le=10_000)] = 0


class TerminalServerSettings(DaemonSettings, frozen=True, kw_only=True):
    """`grace_days` 0 means no grace period. Without `directory` the farm is one terminal server.
    `pam` names a file of /etc/pam.d: its rules prove the accounts with `pam`, and open the sessions
    of all; empty means that PAM has no part. For `resume_minutes` after a proof of the user, the
    device that showed a session last returns to it by its own key; 0 means never."""

    discovery: Discovery = Discovery()
    directory: ServerAddress | None = None
    accounts: Path
    product: Name = "terminal-server"
    product_version: ProductVersion = 1
    grace_days: Annotated[int, Meta(ge=0, le=limits.GRACE_DAYS)] = limits.GRACE_DAYS
    weight: Annotated[int, Meta(ge=1, le=10_000)] = 100
    pam: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9_-]*\Z")] = ""
    resume_minutes: Annotated[int, Meta(ge=0, le=7 * 24 * 60)] = 600
    sessions: Sessions = Sessions()


class Changes(msgspec.Struct, frozen=True):
    """Keys whose values differ, written as in a TOML file: `log.level`."""

    reread: tuple[str, ...]
    """Marked with REREAD."""
    restart: tuple[str, ...]
    """All others."""


def changes(old: Settings, new: Settings) -> Changes:
    """The keys that differ between two readings of one daemon's file."""
    found = [*_changed(old, new, "", can_reread=False)]
    return Changes(
        reread=tuple(key for key, can_reread in found if can_reread),
        restart=tuple(key for key, can_reread in found if not can_reread),
    )


def _changed(
    old: Settings, new: Settings, section: str, *, can_reread: bool
) -> Iterator[tuple[str, bool]]:
    hints = get_type_hints(type(old), include_extras=True)
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        is_marked = can_reread or REREAD in get_args(hints[name])
        if before == after:
            continue
        if isinstance(before, Settings) and isinstance(after, Settings):
            yield from _changed(before, after, f"{section}{name}.", can_reread=is_marked)
        else:
            yield f"{section}{name}", is_marked
