"""Changed accounts: signed by an administrator, or by the user for a new password."""

from typing import Annotated

from msgspec import Meta

from tsproto import limits
from tsproto.messages import examples
from tsproto.messages.fields import *
from tsproto.messages.table import *

_PASSWORD = {
    "generation": examples.NOW * 1_000_000,
    "public_key": examples.PUBLIC_KEY,
    **examples.ARGON2,
    "signature": examples.SIGNATURE,
}


class ChangePassword(Message, tag=28, kw_only=True):
    """In the place of LogonProof: the user of LogonStart has a new password. Answered by
    PasswordChanged or LogonRefused."""

    entry = Entry.step(CLIENT, TERMINAL_SERVER, LinkState.LOGON)

    generation: Generation
    public_key: PublicKey  # of the key that the new password gives
    salt: Salt  # for the new password
    memory_kib: MemoryKib
    passes: Passes
    lanes: Lanes
    signature: Ed25519Signature  # of the present password's key, over the password statement

    example = _PASSWORD


class PasswordChanged(Message, tag=29, kw_only=True):
    """The host has stored the new password, and tells the session directory."""

    entry = Entry.step(TERMINAL_SERVER, CLIENT, LinkState.LOGON, then=LinkState.LEAVING)


class PasswordStatement(Message, tag=59, kw_only=True):
    """A user has changed their password, at this terminal server or another one."""

    entry = Entry.notice(TERMINAL_SERVER | SESSION_DIRECTORY, TERMINAL_SERVER | SESSION_DIRECTORY)

    user_name: UserName  # whose password, in NFC
    generation: Generation
    public_key: PublicKey  # of the key that the new password gives
    salt: Salt  # for the new password
    memory_kib: MemoryKib
    passes: Passes
    lanes: Lanes
    signature: Ed25519Signature  # of the password's key before, over the password statement

    example = {"user_name": "user1", **_PASSWORD}


class AccountStatement(Message, tag=64, kw_only=True):
    """An account as an administrator has changed it. One that is known, or older than the host's,
    changes nothing and is answered by Done."""

    entry = Entry.request(
        ADMINISTRATOR, TERMINAL_SERVER | SESSION_DIRECTORY, "Done", wants=AdministratorRole.ADMIN
    )

    # the account in JSON
    account: Annotated[bytes, Meta(min_length=2, max_length=limits.ACCOUNT_BYTES)]
    signer: Certificate  # the administrator's certificate, DER
    signature: Ed25519Signature  # of the certificate's key, over the account statement

    example = {
        "account": b'{"name":"user1","generation":1800000000000000,"disabled":true}',
        "signer": examples.CERTIFICATE,
        "signature": examples.SIGNATURE,
    }
