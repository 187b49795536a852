"""Makes a lab: addresses, certificates, accounts, and a configuration for each daemon."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from daemons import accounts
from daemons.lab.plan import Daemon, Lab, LabError, Plan, load_user
from tsproto import certificates, limits
from tsproto.account import Account
from tsproto.messages import AdministratorRole, Role

BROADCAST = "127.255.255.255"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LAB_DAYS = limits.AUTHORITY_DAYS  # a lab's clock may be warped by years
DISCOVERY_PORT_FIRST = 20_000  # plus the lab's net: labs on one machine do not hear each other


def make(folder: Path, plan: Plan) -> Lab:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    net = _free_net()
    farm = plan.farm or f"lab-{secrets.token_hex(3)}"
    lab = Lab(farm, net, tuple(_addressed(plan, net)), plan.users, plan.tls, plan.load_users)
    now = time.time()
    (folder / "clock").write_text("0\n")
    _make_certificates(folder / "pki", lab, now)
    _make_users(folder, lab.farm, plan.users, plan.load_users)
    for daemon in lab.daemons:
        home = folder / daemon.name
        home.mkdir(mode=0o700, exist_ok=True)
        (home / "state").mkdir(mode=0o700, exist_ok=True)  # a terminal server runs as its owner
        (home / "config.toml").write_text(tomli_w.dumps(_configuration(folder, daemon, lab, plan)))
    (folder / "lab.json").write_bytes(msgspec.json.format(msgspec.json.encode(lab)))
    return lab


def _addressed(plan: Plan, net: int) -> Iterator[Daemon]:
    """License servers first, so that terminal servers find them at their start."""
    for index, server in enumerate(plan.license_servers):
        yield Daemon(
            server.name, "license_server", f"127.0.{net}.{31 + index}", limits.LICENSE_PORT
        )
    yield Daemon(plan.directory, "session_directory", f"127.0.{net}.21", limits.DIRECTORY_PORT)
    for index, name in enumerate(plan.terminal_servers):
        yield Daemon(name, "terminal_server", f"127.0.{net}.{101 + index}", limits.TERMINAL_PORT)


def _free_net() -> int:
    """A third byte of 127.0.x.y that no other lab uses now."""
    for net in secrets.SystemRandom().sample(range(1, 250), 249):
        with contextlib.ExitStack() as probes:
            try:
                for host in (f"127.0.{net}.21", f"127.0.{net}.31", f"127.0.{net}.101"):
                    for port in (limits.TERMINAL_PORT, limits.LICENSE_PORT, limits.DIRECTORY_PORT):
                        probe = probes.enter_context(socket.socket())
                        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        probe.bind((host, port))
            except OSError:
                continue
            return net
    raise LabError("no free addresses 127.0.x.y: stop another lab with `tsfarm lab down`")


def _make_certificates(folder: Path, lab: Lab, now: float) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    certificate, key = certificates.create_authority(lab.farm, now)
    _write_private(folder / "authority.crt", certificate)
    _write_private(folder / "authority.key", key)
    daemons = [(d.name, Role[d.role.upper()], (d.host, *LOOPBACK)) for d in lab.daemons]
    for name, role, addresses in [*daemons, ("admin", Role.ADMINISTRATOR, ())]:
        own_certificate, own_key = certificates.issue_certificate(
            certificate,
            key,
            role,
            name,
            now,
            days=LAB_DAYS,
            addresses=addresses,
            administrator_role=AdministratorRole.ADMIN,
        )
        _write_private(folder / f"{name}.crt", own_certificate)
        _write_private(folder / f"{name}.key", own_key)


def _make_users(folder: Path, farm: str, users: tuple[str, ...], load_users: int) -> None:
    """Make accounts with random passwords, which are written to `users/`: a lab can be reached from
    this machine only. The keys of all synthetic users come from the secret in `users/load`."""
    system_user = "root" if os.geteuid() == 0 else ""
    (folder / "users").mkdir(mode=0o700, exist_ok=True)
    generation = time.time_ns() // 1000
    made = []
    for user in users:
        password = secrets.token_urlsafe(9).encode()
        key = accounts.password_key(farm, user, password, generation)
        made.append(
            Account(name=user, generation=generation, system_user=system_user, password=key)
        )
        _write_private(folder / "users" / user, password + b"\n")
    if load_users:
        secret = secrets.token_bytes(accounts.SECRET_BYTES)
        names = [load_user(number) for number in range(1, load_users + 1)]
        made += accounts.synthetic(farm, names, secret, system_user, generation)
        _write_private(folder / "users" / "load", secret.hex().encode() + b"\n")
    accounts.change(folder / "accounts", farm, lambda _: made)


def _write_private(path: Path, content: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _configuration(folder: Path, daemon: Daemon, lab: Lab, plan: Plan) -> dict[str, Any]:
    pki = folder / "pki"
    common = {
        "farm": lab.farm,
        "state": "state",
        "loop": plan.loop,
        "clock_file": str(folder / "clock"),
        "listen": {"host": daemon.host, "port": daemon.port, "tls": lab.tls},
        "identity": {
            "certificate": str(pki / f"{daemon.name}.crt"),
            "key": str(pki / f"{daemon.name}.key"),
            "authority": str(pki / "authority.crt"),
        },
    }
    match daemon.role:
        case "license_server":
            own = next(each for each in plan.license_servers if each.name == daemon.name)
            pack = {"key_pack": f"{own.name}-1", "tokens": own.tokens + plan.load_users}
            return {
                **common,
                "discovery": _discovery(daemon, lab, workgroup=own.workgroup, site=own.site),
                "key_packs": [pack] if own.tokens else [],
            }
        case "terminal_server":
            directory = lab.daemon(plan.directory)
            shell = plan.shell or (("/bin/sh",) if plan.load_users or not _has_shell() else ())
            return {
                **common,
                "accounts": str(folder / "accounts"),
                "discovery": _discovery(daemon, lab, workgroup=plan.workgroup),
                "directory": {
                    "host": directory.host,
                    "port": directory.port,
                    "name": directory.name,
                },
                "sessions": {"allow_root": os.geteuid() == 0, "shell": shell},
            }
    return {**common, "accounts": str(folder / "accounts")}


def _has_shell() -> bool:
    """Whether this user may have sessions with a shell: `nobody` may not."""
    try:
        shell = pwd.getpwuid(os.geteuid()).pw_shell
    except KeyError:
        return False
    return Path(shell).name not in ("nologin", "false")


def _discovery(daemon: Daemon, lab: Lab, **scopes: str) -> dict[str, Any]:
    port = DISCOVERY_PORT_FIRST + lab.net
    return {"source": daemon.host, "broadcast": BROADCAST, "port": port, **scopes}
