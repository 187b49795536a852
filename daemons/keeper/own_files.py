"""The files that the keeper decides by: the terminal server's configuration, its certificate, and
the accounts. Each is read again when it has changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from daemons.accounts import Accounts
from daemons.config import ConfigError, read_settings
from daemons.files.clock_file import read_offset
from daemons.files.reread import Reread
from daemons.files.trusted import check_root_owns
from daemons.keeper.launch import account_for
from daemons.keeper.proving import Host
from daemons.settings import TerminalServerSettings
from tsproto import certificates, identity
from tsproto.authorities import read_authorities
from tsproto.error_text import words_of
from tsproto.identity import Identity, IdentityError
from tsproto.user_proof import Methods

EARLIER_CERTIFICATES = 2  # that links opened before a renewal still show
USUAL_METHODS = Methods.PASSWORD | Methods.SSH_KEY
PLAIN = bytes(32)  # stands for the certificate of a link without TLS


class OwnFiles:
    """Raises TsfarmError when one of them cannot be used; `on_fault` is told of later faults."""

    def __init__(self, config: Path, on_fault: Callable[[str], None]) -> None:
        is_root = os.geteuid() == 0
        if is_root:
            check_root_owns(config)
        self._settings = Reread(config, _settings, on_fault)
        settings = self.settings
        if is_root:
            check_root_owns(Path(settings.identity.certificate))
            check_root_owns(Path(settings.accounts))
        self._certificate = Reread(Path(settings.identity.certificate), _certificate, on_fault)
        self.accounts = Accounts(Path(settings.accounts), settings.farm, on_fault)
        self._shown: tuple[bytes, ...] = ()
        if settings.pam and not self._may_ask():
            raise ConfigError(
                f"{config}: pam: the host's certificate does not let it ask users: issue one with"
                " `tsfarm pki issue terminal-server NAME --asks-secrets`, and set listen.tls = true"
            )
        file = Path(settings.clock_file) if settings.clock_file else None
        if is_root and file is not None:
            check_root_owns(file)
        self._clock = None if file is None else Reread(file, read_offset, on_fault)
        if not is_root and not settings.sessions.shared_user:
            self._check_users()

    def _check_users(self) -> None:
        """Without root all sessions run as this process's user. Raises ConfigError."""
        own = account_for("", allow_root=False, own_uid=os.geteuid()).name
        others = {each.system_user for each in self.accounts.all()} - {"", own}
        if others:
            raise ConfigError(
                f"accounts name other system users than {own}, {min(others)} for one: start the"
                " terminal server as root, or set sessions.shared_user = true, and the sessions of"
                f" all accounts run as {own}"
            )

    def now(self) -> float:
        """Unix seconds; in a lab with the offset of its clock, as all its daemons count."""
        return time.time() + (0.0 if self._clock is None else self._clock.content())

    @property
    def settings(self) -> TerminalServerSettings:
        return self._settings.content()

    def authorities(self) -> tuple[bytes, ...]:
        """That the farm trusts, DER. Raises ConfigError."""
        path = Path(self.settings.identity.authority)
        try:
            return read_authorities(path.read_bytes()).certificates
        except OSError as error:
            raise ConfigError(f"{path}: {words_of(error)}") from None
        except IdentityError as error:
            raise ConfigError(f"{path}: {error}") from None

    def host(self) -> Host:
        settings, (certified, own) = self.settings, self._certificate.content()
        shown = own if settings.listen.tls else PLAIN
        if shown not in self._shown:
            self._shown = (shown, *self._shown[:EARLIER_CERTIFICATES])
        return Host(
            farm=settings.farm,
            server=certified.name,
            certificates=self._shown,
            secret=self.accounts.secret,
            methods=USUAL_METHODS | (Methods.PAM if settings.pam and self._may_ask() else 0),
            resume_seconds=settings.resume_minutes * 60,
        )

    def _may_ask(self) -> bool:
        """Clients answer no other host's prompts, and none without TLS."""
        certified, _ = self._certificate.content()
        return certified.asks_secrets and self.settings.listen.tls


def _settings(path: Path) -> TerminalServerSettings:
    return read_settings(path, TerminalServerSettings)


def _certificate(path: Path) -> tuple[Identity, bytes]:
    """What the certificate says, and its SHA-256. Raises ConfigError."""
    try:
        certificate = certificates.certificate_der(path.read_bytes())
        return certificates.identity_of(certificate), identity.fingerprint(certificate)
    except OSError as error:
        raise ConfigError(f"{path}: {words_of(error)}") from None
    except IdentityError as error:
        raise ConfigError(f"{path}: {error}") from None
