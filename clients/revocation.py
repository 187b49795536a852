"""`tsfarm pki revoke` and `tsfarm device …`: takes certificates and devices back, farm-wide.

Both sign a new deny list and hand it to the daemons that are named. One is enough: daemons hand it
to each other. A new list holds all that the newest one held, so that nothing is forgotten; two
people who change the list of devices in one instant overwrite each other, and `tsfarm device list`
shows whose change stands.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.administrator import Administrator, Daemon
from clients.ask import AskFailed
from clients.examples import example
from clients.exit_codes import exit_code_of
from clients.query import Target, asking
from clients.say import complain, show
from clients.tables import print_rows
from daemons.files import durable, private
from tsproto import certificates, deny_list, identity
from tsproto.deny_list import DenyKind, DenyList
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import Done, PublishDenyList

LIST_FILE = "certificates.deny"
_DEVICE_ID = re.compile(r"[0-9a-f]{64}")

Change = Callable[[set[bytes]], set[bytes]]
T = TypeVar("T")


@click.command("revoke", epilog=example("tsfarm pki revoke ts1 --dir pki --lab .lab"))
@click.argument("names", nargs=-1, required=True)
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path("pki"))
@asking
def pki_revoke(target: Target, names: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Put certificates on the farm's deny list: NAME.crt in the folder, or a path.

    The list stays beside the authority. With --server or --lab it is handed to the farm, which
    closes the links of these certificates at once. A new certificate of the same name is good.
    """
    denied = {_certificate(folder, name) for name in names}
    authority = _read(folder / "authority.crt", certificates.certificate_der)
    key = _read(folder / "authority.key", identity.load_key)
    if exposed := private.exposure(folder / "authority.key", "farm"):
        raise TsfarmError(exposed)
    farm, file = certificates.farm_of(authority), folder / LIST_FILE
    kept = file.read_bytes() if file.exists() else b""
    daemons = target.all_daemons()
    administrator = target.administrator() if daemons else None
    held = [kept, *_held_by(administrator, daemons, DenyKind.CERTIFICATES)]
    signed = _signed(farm, DenyKind.CERTIFICATES, held, lambda entries: entries | denied, key)
    durable.replace(file, signed)
    if administrator is None:
        show(f"{file}: hand it to one daemon, with --server or --lab")
        return
    _publish(administrator, daemons, signed, as_json)


@click.group(epilog=example("tsfarm device revoke ID --lab .lab"))
def device() -> None:
    """Take devices back, or allow them again.

    A device's id is in `tsfarm query license --json` and in the terminal servers' logs.
    """


@device.command("revoke", epilog=example("tsfarm device revoke ID --lab .lab"))
@click.argument("ids", nargs=-1, required=True)
@asking
def device_revoke(target: Target, ids: tuple[str, ...], as_json: bool) -> None:
    """Put devices on the farm's deny list: their sessions go on, and are not shown to them."""
    denied = {_device_id(each) for each in ids}
    _change_devices(target, lambda entries: entries | denied, as_json)


@device.command("allow", epilog=example("tsfarm device allow ID --lab .lab"))
@click.argument("ids", nargs=-1, required=True)
@asking
def device_allow(target: Target, ids: tuple[str, ...], as_json: bool) -> None:
    """Take devices off the farm's deny list."""
    allowed = {_device_id(each) for each in ids}

    def change(entries: set[bytes]) -> set[bytes]:
        if unknown := allowed - entries:
            names = ", ".join(sorted(each.hex() for each in unknown))
            raise TsfarmError(f"not on the deny list: {names}; see `tsfarm device list`")
        return entries - allowed

    _change_devices(target, change, as_json)


@device.command("list", epilog=example("tsfarm device list --lab .lab"))
@asking
def device_list(target: Target, as_json: bool) -> None:
    """The devices on the newest deny list of the daemons asked."""
    newest = _newest(_held_by(target.administrator(), target.all_daemons(), DenyKind.DEVICES))
    entries = newest.entries if newest else []
    print_rows([{"device_id": each.hex()} for each in entries], "device_id", as_json)


def _change_devices(target: Target, change: Change, as_json: bool) -> None:
    daemons = target.all_daemons()
    if not daemons:
        raise click.UsageError("give --server HOST[:PORT], or --lab DIR")
    administrator = target.administrator()
    certificate_file, key_file = target.identity_files()
    certificate = _read(certificate_file, certificates.certificate_der)
    key = _read(key_file, identity.load_key)
    farm = certificates.identity_of(certificate).farm
    held = _held_by(administrator, daemons, DenyKind.DEVICES)
    signed = _signed(farm, DenyKind.DEVICES, held, change, key, certificate)
    _publish(administrator, daemons, signed, as_json)


def _signed(
    farm: str,
    kind: DenyKind,
    held: Iterable[bytes],
    change: Change,
    key: Ed25519PrivateKey,
    signer: bytes = b"",
) -> bytes:
    """The newest list held, changed and signed anew."""
    newest = _newest(held)
    entries = change(set(newest.entries) if newest else set())
    number = deny_list.next_number(newest.number if newest else 0, time.time())
    content = DenyList(farm=farm, kind=kind, number=number, entries=[*entries])
    return deny_list.sign(content, key, signer)


def _newest(held: Iterable[bytes]) -> DenyList | None:
    lists = [deny_list.read(signed) for signed in held if signed]
    return max(lists, key=lambda found: found.number, default=None)


def _held_by(
    administrator: Administrator | None, daemons: list[Daemon], kind: DenyKind
) -> list[bytes]:
    """The lists of the daemons that answer; raises AskFailed when there are some and none does."""

    async def ask_all() -> list[bytes]:
        held, failures = [], []
        for daemon in daemons:
            assert administrator is not None
            try:
                lists = await administrator.deny_lists(daemon)
            except AskFailed as failed:
                failures.append(failed)
            else:
                is_certificates = kind is DenyKind.CERTIFICATES
                held.append(lists.certificates if is_certificates else lists.devices)
        if failures and not held:
            raise failures[-1]
        return held

    return asyncio.run(ask_all())


def _publish(
    administrator: Administrator, daemons: list[Daemon], signed: bytes, as_json: bool
) -> None:
    """Hands the list to every daemon. One that fails is named; it gets the list from the others,
    and sets the exit status when there are none."""
    found = deny_list.read(signed)
    failures: list[AskFailed] = []

    async def tell_all() -> None:
        for daemon in daemons:
            try:
                async with administrator.asking(daemon) as ask:
                    await ask(PublishDenyList(signed=signed), Done)
            except AskFailed as failed:
                # Another daemon was quicker to hand it on.
                if failed.code is not ErrorCode.DENY_LIST_OLD or not await _has(daemon):
                    failures.append(failed)
                    complain(str(failed))

    async def _has(daemon: Daemon) -> bool:
        held = await administrator.deny_lists(daemon)
        return signed in (held.certificates, held.devices)

    asyncio.run(tell_all())
    told = len(daemons) - len(failures)
    if told:
        row = {
            "list": found.kind.name.lower(),
            "entries": len(found.entries),
            "number": found.number,
            "signed_at": found.number // deny_list.MICROSECONDS,
            "told": told,
        }
        print_rows([row], "list entries signed_at told", as_json)
    else:
        raise click.exceptions.Exit(exit_code_of(failures[-1]))


def _certificate(folder: Path, name: str) -> bytes:
    file = folder / f"{name}.crt"
    given = Path(name)
    return identity.fingerprint(
        _read(file if file.exists() or not given.is_file() else given, certificates.certificate_der)
    )


def _device_id(text: str) -> bytes:
    if not _DEVICE_ID.fullmatch(text):
        raise click.BadParameter(f"{text!r} is no device id: 64 digits of 0-9 and a-f")
    return bytes.fromhex(text)


def _read(file: Path, understand: Callable[[bytes], T]) -> T:
    try:
        return understand(file.read_bytes())
    except OSError as error:
        raise TsfarmError(f"{file}: {error.strerror}") from None
    except identity.IdentityError as error:
        raise TsfarmError(f"{file}: {error}") from None
