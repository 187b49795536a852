"""`tsfarm passwd`: users change their own password, at any host of their farm.

The host is sent the public key of the new password, signed with the key of the present one.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import time
from pathlib import Path

import click

from clients.connect import read_authority, read_password
from clients.device import Device, default_folder
from clients.examples import example
from clients.exit_codes import ExitCode
from clients.known_hashings import KnownHashings
from clients.licensed_device import LicensedDevice
from clients.logon.steps import Hashing, Host
from clients.options import hosts_at, text_of
from clients.prompts import Prompts
from clients.say import complain, say
from clients.trust import Dialler, FarmDialler
from clients.user_keys import HashingMemory, argon2id
from tsproto import limits, transport
from tsproto.account import PasswordKey
from tsproto.connection import Closed, Event, Opened, Received
from tsproto.errors import ErrorCode, PeerError, TsfarmError
from tsproto.messages import (
    ChangePassword,
    LicenseAccepted,
    LicenseRequest,
    LicenseStored,
    LogonChallenge,
    LogonRefused,
    LogonStart,
    Message,
    NewLicense,
    PasswordChanged,
)
from tsproto.statements import password_statement
from tsproto.user_proof import Cost, key_of_tag, normal

_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


class WrongPassword(TsfarmError):
    """The present password is not the user's, or there is no such user."""


@click.command(
    epilog=example(
        "tsfarm passwd ts1.example --user user1",
        "tsfarm passwd ts1.example --user user1 --password-file old --new-password-file new",
    )
)
@click.argument("hosts", type=hosts_at(limits.TERMINAL_PORT), metavar="HOST[:PORT][,HOST...]")
@click.option(
    "--user",
    type=text_of(limits.USER_NAME_CHARACTERS),
    default=getpass.getuser,
    help="The user, by default the local one.",
)
@click.option("--store", type=click.Path(path_type=Path), help="The device's folder.")
@click.option("--ca", type=_EXISTING, help="Trust this farm's authority (PEM), and no other.")
@click.option("--accept-new", default="", metavar="FINGERPRINT", help="Accept this new farm.")
@click.option("--password-file", type=_EXISTING, help="Its first line is the present password.")
@click.option("--new-password-file", type=_EXISTING, help="Its first line is the new password.")
@click.option("--plain", is_flag=True, help="TCP without TLS, to a loopback address.")
def passwd(
    hosts: tuple[Host, ...],
    user: str,
    store: Path | None,
    ca: Path | None,
    accept_new: str,
    password_file: Path | None,
    new_password_file: Path | None,
    plain: bool,
) -> None:
    """Change your password in a farm.

    The host that answers first stores the new password before this command ends, and tells the
    other hosts. One that is down learns it when it comes back.
    """
    prompts = Prompts(
        None if password_file is None else read_password(password_file),
        accept_new,
        new_password=None if new_password_file is None else read_password(new_password_file),
    )
    device = Device.open(store or default_folder())
    authority = None if ca is None else read_authority(ca)
    dialler = Dialler(
        device.known_farms, device.name, prompts.confirm, say, authority=authority, plain=plain
    )
    memory = KnownHashings(device.folder)
    try:
        server = asyncio.run(change(dialler, device, hosts, normal(user), prompts, memory))
    except WrongPassword as error:
        complain(str(error))
        raise click.exceptions.Exit(ExitCode.LOGON_FAILED) from None
    say(f"the password is changed: {server} has stored it, and tells the other hosts")


async def change(
    dialler: FarmDialler,
    device: LicensedDevice,
    hosts: tuple[Host, ...],
    user_name: str,
    prompts: Prompts,
    memory: HashingMemory,
) -> str:
    """The name of the host that has stored the new password, whose salt and cost `memory` then
    keeps. Raises WrongPassword and other TsfarmErrors."""
    failure: PeerError | None = None
    for host in hosts:
        visit = Visit(device, user_name, memory)
        try:
            link = await dialler.dial(host, visit)
        except PeerError as failed:
            failure = failed
            continue
        try:
            return await visit.change(link, host, prompts)
        finally:
            link.close(ErrorCode.NORMAL)
            await link.wait_closed()
    assert failure is not None
    raise failure


class Visit:
    """The owner of one link to a host, from its Welcome to the changed password."""

    def __init__(self, device: LicensedDevice, user_name: str, memory: HashingMemory) -> None:
        self._device = device
        self._user_name = user_name
        self._memory = memory
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def change(self, link: transport.Link, host: Host, prompts: Prompts) -> str:
        opened = await self._events.get()
        if isinstance(opened, Closed):
            raise _lost(host, opened)
        assert isinstance(opened, Opened)
        certified = link.peer_identity
        farm = opened.farm if certified is None else certified.farm
        server = opened.name if certified is None else certified.name
        await self._be_licensed(link, host, farm)
        link.send(LogonStart(user_name=self._user_name))
        link.flush()
        challenge = await self._hear(host)
        if not isinstance(challenge, LogonChallenge):
            raise _unexpected(host, challenge)
        changed = await self._changed(challenge, farm, host, prompts)
        link.send(changed)
        link.flush()
        answer = await self._hear(host)
        if not isinstance(answer, PasswordChanged):
            raise _unexpected(host, answer)
        cost = Cost(changed.memory_kib, changed.passes, changed.lanes)
        self._memory.keep(farm, self._user_name, Hashing(changed.salt, cost))
        return server

    async def _be_licensed(self, link: transport.Link, host: Host, farm: str) -> None:
        while True:
            match await self._hear(host):
                case LicenseRequest() as request:
                    shown = link.peer_certificate
                    link.send(self._device.license_info(farm, request, shown, self._user_name))
                case NewLicense() as fresh:
                    stored = self._device.store_license(farm, fresh.token, fresh.issuer_certificate)
                    link.send(LicenseStored(license_id=stored))
                case LicenseAccepted():
                    return
                case other:
                    raise _unexpected(host, other)
            link.flush()

    async def _changed(
        self, challenge: LogonChallenge, farm: str, host: Host, prompts: Prompts
    ) -> ChangePassword:
        cost = Cost(challenge.memory_kib, challenge.passes, challenge.lanes)
        cost.check()
        present = await prompts.password(self._user_name, str(host), again=False)
        fresh = await prompts.new_password()
        if present is None or fresh is None:
            raise KeyboardInterrupt
        key = key_of_tag(farm, self._user_name, await argon2id(present, challenge.salt, cost))
        salt, usual = os.urandom(limits.SALT_BYTES), Cost()
        new_key = key_of_tag(farm, self._user_name, await argon2id(fresh, salt, usual))
        password = PasswordKey(
            public_key=new_key.public_key().public_bytes_raw(),
            salt=salt,
            memory_kib=usual.memory_kib,
            passes=usual.passes,
            lanes=usual.lanes,
            # The host's seconds, so that this device's clock does not matter.
            changed=challenge.time * 1_000_000 + time.time_ns() // 1_000 % 1_000_000,
        )
        signed = password_statement(farm, self._user_name, password, key)
        return ChangePassword(
            generation=signed.generation,
            public_key=signed.public_key,
            salt=signed.salt,
            memory_kib=signed.memory_kib,
            passes=signed.passes,
            lanes=signed.lanes,
            signature=signed.signature,
        )

    async def _hear(self, host: Host) -> Message:
        """The host's next message. Raises PeerError when the link has ended."""
        while True:
            match await self._events.get():
                case Received(message):
                    return message
                case Closed() as closed:
                    raise _lost(host, closed)
                case _:
                    pass

    # --- for the link -----------------------------------------------------------------------------

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        for event in events:
            self._events.put_nowait(event)

    def on_writable(self, link: transport.Link) -> None:
        """No session bytes are sent."""


def _lost(host: Host, closed: Closed) -> PeerError:
    return PeerError(closed.code, f"{host}: {closed.detail or closed.code.meaning}")


def _unexpected(host: Host, message: Message) -> TsfarmError:
    if isinstance(message, LogonRefused):
        detail = f"{host}: {message.detail or message.code.meaning}"
        if message.code is ErrorCode.LOGON_FAILED:
            return WrongPassword(detail)
        return PeerError(message.code, detail)
    return PeerError(ErrorCode.OUT_OF_ORDER, f"{host}: {type(message).__name__} was not expected")
