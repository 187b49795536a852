"""Faults of hosts that take statements about accounts."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from msgspec.structs import replace

from daemons.effects import Close, Effect, Tell
from daemons.procedures import Procedure
from daemons.refusal import Refusal
from daemons.session_directory.core import SessionDirectoryCore
from daemons.statements import Statements
from daemons.terminal_server import logon
from daemons.terminal_server.logon import Logon
from tests.conformance import in_process_keeper
from tests.conformance.in_process_kinds import Wrap, unwrapped
from tests.conformance.wrong.fault import Fault, Plant, dropping, limit, replaced
from tsproto import certificates, statements
from tsproto.account import Account
from tsproto.errors import ErrorCode
from tsproto.messages import PasswordStatement, Role
from tsproto.statements import StatementRefused
from tsproto.user_proof import Cost

_change_password = Logon._change_password
_merged = statements.merged
_with_password = statements.with_password


def _counts_no_change(self: Logon, *asked: Any) -> Procedure[None]:
    try:
        yield from _change_password(self, *asked)
    except Refusal as refusal:
        raise Refusal(refusal.code, refusal.detail) from None


def _believes_every_signer(farm: str, signer: bytes, *_: Any) -> bytes:
    key = certificates.parse_certificate(signer).public_key()
    return key.public_bytes_raw()  # type: ignore[union-attr]


def _refuses_what_it_knows(known: Account | None, stated: Account) -> Account | None:
    if known is not None and stated.generation <= known.generation:
        raise StatementRefused(ErrorCode.NOT_PERMITTED, "it is known")
    return _merged(known, stated)


def _brings_passwords_back(known: Account | None, stated: Account) -> Account | None:
    found = _merged(known, stated)
    return found if found is None or found == known else replace(found, password=stated.password)


def _keeps_the_old_password(
    farm: str, known: Account | None, statement: PasswordStatement, now: float
) -> Account | None:
    return known if known is not None else _with_password(farm, known, statement, now)


def _passes_on_each_time(self: Statements, statement: PasswordStatement) -> None:
    self._procedures.do(self._keep(statement), *self._pass_on(statement))


def _ends_out_of_order(effect: Effect) -> bool:
    return isinstance(effect, Close) and effect.code is ErrorCode.OUT_OF_ORDER


def _tells_a_change(effect: Effect) -> bool:
    return isinstance(effect, Tell) and isinstance(effect.message, PasswordStatement)


TERMINAL_SERVER, SESSION_DIRECTORY = Role.TERMINAL_SERVER, Role.SESSION_DIRECTORY


def _fault(
    role: Role, name: str, found_by: str, plant: Plant = nullcontext, wrap: Wrap = unwrapped
) -> Fault:
    return Fault(name=name, role=role, found_by=f"ACC-{found_by}", plant=plant, wrap=wrap)


FAULTS = (
    _fault(
        TERMINAL_SERVER,
        "says that a password is changed, and keeps the old one",
        "01.a-user-changes-the-password",
        replaced(in_process_keeper, "with_password", _keeps_the_old_password),
    ),
    _fault(
        TERMINAL_SERVER,
        "takes a new password whoever has signed it",
        "02.whose-signature-changes-nothing",
        replaced(statements, "_is_signed", lambda *_: True),
    ),
    _fault(
        TERMINAL_SERVER,
        "tells an old change of a user from one of nobody",
        "02.an-older-change-tells-nothing-of-its-user",
        replaced(logon, "WRONG_PASSWORD", "the password was changed since"),
    ),
    _fault(
        TERMINAL_SERVER,
        "lets a client guess with changes",
        "02.three-wrong-changes",
        replaced(Logon, "_change_password", _counts_no_change),
    ),
    _fault(
        TERMINAL_SERVER,
        "does not mind a change that comes unasked",
        "03.a-change-without-a-challenge",
        wrap=dropping(_ends_out_of_order),
    ),
    _fault(
        TERMINAL_SERVER,
        "takes a cost that no client accepts",
        "04.costs-and-times-out-of-bounds",
        replaced(Cost, "check", lambda self: None),
    ),
    _fault(
        TERMINAL_SERVER,
        "takes a change of the far future",
        "04.costs-and-times-out-of-bounds",
        replaced(statements, "_check_ahead", lambda *_: None),
    ),
    _fault(
        TERMINAL_SERVER,
        "takes no change of tomorrow",
        "04.almost-a-day-ahead",
        limit(statements, GENERATION_AHEAD_SECONDS=60),
    ),
    _fault(
        TERMINAL_SERVER,
        "keeps changed passwords to itself",
        "05.the-directory-is-told-at-once-and-after-each-join",
        wrap=dropping(_tells_a_change),
    ),
    _fault(
        TERMINAL_SERVER,
        "tells a changed password once",
        "05.the-directory-is-told-at-once-and-after-each-join",
        replaced(Statements, "kept", lambda self: []),
    ),
    _fault(
        SESSION_DIRECTORY,
        "tells no host of a change at another",
        "06.every-host-is-told-once-and-those-that-join-later",
        replaced(SessionDirectoryCore, "_tell_all", lambda self, statement: []),
    ),
    _fault(
        SESSION_DIRECTORY,
        "tells a host that joins nothing of before",
        "06.every-host-is-told-once-and-those-that-join-later",
        replaced(Statements, "kept", lambda self: []),
    ),
    _fault(
        SESSION_DIRECTORY,
        "tells a change as often as it hears it",
        "06.every-host-is-told-once-and-those-that-join-later",
        replaced(Statements, "_keep_and_pass_on", _passes_on_each_time),
    ),
    _fault(
        SESSION_DIRECTORY,
        "tells forged changes",
        "07.a-forged-change-is-told-to-nobody",
        replaced(statements, "_is_signed", lambda *_: True),
    ),
    _fault(
        TERMINAL_SERVER,
        "believes its directory about passwords",
        "07.a-directory-cannot-change-a-password",
        replaced(statements, "_is_signed", lambda *_: True),
    ),
    *(
        _fault(
            role,
            f"lets anybody with a certificate state accounts to a {role.noun}",
            "08.whose-statement-is-refused",
            replaced(statements, "_administrators_key", _believes_every_signer),
        )
        for role in (TERMINAL_SERVER, SESSION_DIRECTORY)
    ),
    *(
        _fault(
            role,
            f"refuses a statement that a {role.noun} knows",
            "09.known-and-older-statements-are-done",
            replaced(in_process_keeper, "merged", _refuses_what_it_knows),
        )
        for role in (TERMINAL_SERVER, SESSION_DIRECTORY)
    ),
    _fault(
        TERMINAL_SERVER,
        "lets an older statement count",
        "09.a-later-statement-counts-and-stays",
        replaced(in_process_keeper, "merged", lambda known, stated: stated),
    ),
    _fault(
        TERMINAL_SERVER,
        "lets an administrator's copy bring an old password back",
        "10.a-password-that-its-user-changed-later-stays",
        replaced(in_process_keeper, "merged", _brings_passwords_back),
    ),
)
