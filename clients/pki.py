"""`tsfarm pki …`: makes the certificates of a farm, shows them, and replaces them in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from clients.examples import example
from clients.options import printed_json
from clients.revocation import pki_revoke
from clients.say import show
from clients.tables import Row, print_rows
from daemons.files import durable, private
from tsproto import authorities, certificates, identity, limits
from tsproto.authorities import Authorities
from tsproto.errors import TsfarmError
from tsproto.identity import IdentityError
from tsproto.messages import AdministratorRole, Role

COLUMNS = "name role addresses expires_at days_left fingerprint"
SERVE_IT = "copy both to its host, and send the daemon SIGHUP: no link is dropped"

in_folder = click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path("pki"), show_default=True
)
with_days = click.option(
    "--days",
    type=click.IntRange(1, limits.AUTHORITY_DAYS),
    default=limits.CERTIFICATE_DAYS,
    show_default=True,
    help="How long the certificate is valid; never longer than the authority.",
)


def with_addresses(help_text: str) -> Callable[[Any], Any]:
    return click.option("--address", "addresses", multiple=True, metavar="HOST", help=help_text)


@click.group(
    epilog=example(
        "tsfarm pki init --farm lab",
        "tsfarm pki issue terminal-server ts1 --address ts1.example --address 192.0.2.1",
    )
)
def pki() -> None:
    """Make the certificates of a farm."""


@pki.command("init", epilog=example("tsfarm pki init --farm lab --dir pki"))
@click.option("--farm", required=True, help="The farm's name; it stands in every certificate.")
@in_folder
def pki_init(farm: str, folder: Path) -> None:
    """Make a farm's authority: authority.crt for everybody, authority.key to be kept safe."""
    certificate, key = certificates.create_authority(farm, time.time())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_new({folder / "authority.key": key, folder / "authority.crt": certificate})
    show(f"{folder / 'authority.crt'}: {_fingerprint(certificate)}")


@pki.command(
    "issue",
    epilog=example(
        "tsfarm pki issue terminal-server ts1 --address ts1.example --address farm.example"
    ),
)
@click.argument("role", type=click.Choice(list(identity.ROLE_WORDS.values())))
@click.argument("name")
@with_addresses("A host name or IP address at which people reach the daemon; may be repeated.")
@with_days
@in_folder
@click.option(
    "--role",
    "administrator_role",
    type=click.Choice(list(identity.ADMINISTRATOR_ROLES)),
    help="Of an administrator: viewer only asks, operator also hands over deny lists, admin may do"
    " everything.  [default: viewer]",
)
@click.option(
    "--asks-secrets",
    is_flag=True,
    help="Let the terminal server ask users for passwords and codes, for its `pam`.",
)
def pki_issue(
    role: str,
    name: str,
    addresses: tuple[str, ...],
    days: int,
    folder: Path,
    administrator_role: str | None,
    asks_secrets: bool,
) -> None:
    """Make a certificate and key for one daemon or administrator, NAME.crt and NAME.key.

    Clients accept a terminal server under its NAME and the given addresses only. The name of a
    balancer stands in the certificates of all hosts behind it.
    """
    if name in ("authority", "authority-old"):
        raise TsfarmError(f"{name!r} names files of the farm's own: choose another name")
    chosen = next(each for each, word in identity.ROLE_WORDS.items() if word == role)
    if administrator_role and chosen is not Role.ADMINISTRATOR:
        raise click.UsageError("--role is for an administrator's certificate")
    certificate, key = certificates.issue_certificate(
        *_authority(folder),
        chosen,
        name,
        time.time(),
        days=days,
        addresses=addresses,
        administrator_role=identity.ADMINISTRATOR_ROLES[administrator_role or "viewer"],
        asks_secrets=asks_secrets,
    )
    write_new({folder / f"{name}.key": key, folder / f"{name}.crt": certificate})
    show(f"{folder / name}.crt, {folder / name}.key: {_until(certificate)}")


@pki.command("renew", epilog=example("tsfarm pki renew ts1 --address farm.example"))
@click.argument("name")
@with_addresses("Add this host name or IP address; may be repeated.")
@with_days
@in_folder
def pki_renew(name: str, addresses: tuple[str, ...], days: int, folder: Path) -> None:
    """Replace NAME.crt and NAME.key: the same roles, name and addresses, and a new key.

    The key is new so that a stolen one is of no use after its certificate has expired.
    """
    file = folder / f"{name}.crt"
    der = _read(file, certificates.certificate_der, "issue it with `tsfarm pki issue`")
    own, old = certificates.identity_of(der), certificates.parse_certificate(der)
    authority, authority_key = _authority(folder)
    if own.farm != certificates.farm_of(certificates.certificate_der(authority)):
        raise TsfarmError(f"{file} is of the farm {own.farm}, not of this authority's")
    certificate, key = certificates.issue_certificate(
        authority,
        authority_key,
        own.role,
        own.name,
        time.time(),
        days=days,
        addresses=[each for each in certificates.addresses_in(old) if each != own.name]
        + list(addresses),
        administrator_role=own.administrator_role or AdministratorRole.VIEWER,
        asks_secrets=own.asks_secrets,
    )
    _replace({folder / f"{name}.key": key, file: certificate})
    show(f"{file}, {folder / name}.key: {_until(certificate)}; {SERVE_IT}")


@pki.command("show", epilog=example("tsfarm pki show --dir /etc/tsfarm"))
@in_folder
@printed_json
def pki_show(folder: Path, as_json: bool) -> None:
    """List the certificates in a folder: names, addresses, and how long each is still valid.

    Fingerprints are printed as `openssl x509 -fingerprint -sha256` prints them.
    """
    rows = [row for file in sorted(folder.glob("*.crt")) for row in _rows(file, time.time())]
    if not as_json:
        rows = [{**row, "addresses": " ".join(row["addresses"])} for row in rows]
    print_rows(rows, COLUMNS, as_json)


@pki.command("rotate", epilog=example("tsfarm pki rotate --dir pki"))
@click.option("--finish", is_flag=True, help="Trust the old authority no longer.")
@in_folder
def pki_rotate(finish: bool, folder: Path) -> None:
    """Give the farm a new authority beside the old one, or with --finish end the change.

    authority.crt then holds both, and the old one's endorsement of the new one, from which clients
    learn it. Copy it to all hosts and send all daemons SIGHUP; only then renew each certificate.
    """
    trusted = _read(folder / "authority.crt", authorities.read_authorities)
    if finish:
        _finish_rotation(folder, trusted)
        return
    if len(trusted.certificates) > 1:
        raise TsfarmError("a rotation is under way: end it with `tsfarm pki rotate --finish`")
    old_certificate, old_key = _authority(folder)
    certificate, key = certificates.create_authority(trusted.farm, time.time())
    der = certificates.certificate_der(certificate)
    endorsement = authorities.endorse(der, identity.load_key(old_key))
    both = Authorities((der, *trusted.certificates), endorsement)
    old = folder / "authority-old.crt", folder / "authority-old.key"
    write_new(dict(zip(old, (old_certificate, old_key), strict=True)))
    _replace({folder / "authority.key": key, folder / "authority.crt": both.to_pem()})
    show(
        f"{folder / 'authority.crt'}: {_fingerprint(certificate)}\n"
        "1. copy it to every host, and send every daemon SIGHUP\n"
        "2. `tsfarm pki renew` each certificate, copy it, and send its daemon SIGHUP\n"
        f"3. {limits.TEMPORARY_DAYS} days later `tsfarm pki rotate --finish`: until then devices"
        " hold licenses of the old certificates"
    )


def _finish_rotation(folder: Path, trusted: Authorities) -> None:
    newest, *older = trusted.certificates
    if not older:
        raise TsfarmError(
            f"{folder / 'authority.crt'} holds one authority: no rotation is under way"
        )
    ends = 0.0
    for file in sorted(folder.glob("*.crt")):
        der = _read(file, certificates.certificate_der)
        if file.stem.startswith("authority"):
            continue
        if not certificates.is_issued_by(der, newest):
            raise TsfarmError(
                f"{file} is still of the old authority: `tsfarm pki renew {file.stem}`"
            )
        if certificates.identity_of(der).role is Role.LICENSE_SERVER:
            begins = certificates.parse_certificate(der).not_valid_before_utc
            renewed = (begins + certificates.BACKDATED).timestamp()
            ends = max(ends, renewed + limits.TEMPORARY_DAYS * limits.DAY_SECONDS)
    if ends > time.time():
        raise TsfarmError(
            "devices may hold licenses that the old certificates of license servers vouch for: end"
            f" the rotation after {time.strftime('%Y-%m-%d', time.localtime(ends))}"
        )
    _replace({folder / "authority.crt": Authorities((newest,), trusted.endorsement).to_pem()})
    for file in (folder / "authority-old.key", folder / "authority-old.crt"):
        file.unlink(missing_ok=True)
    show(
        f"{folder / 'authority.crt'}: {len(older)} old authority removed, its key deleted; copy the"
        " file to every host, and send every daemon SIGHUP"
    )


def _rows(file: Path, now: float) -> Iterator[Row]:
    der = _read(file, certificates.certificate_der)
    try:
        own = certificates.identity_of(der)
    except IdentityError:
        for each in _read(file, authorities.read_authorities).certificates:
            yield _row(file, each, certificates.farm_of(each), "authority", now)
    else:
        yield _row(file, der, own.name, own.role.noun, now)


def _row(file: Path, der: bytes, name: str, role: str, now: float) -> Row:
    certificate = certificates.parse_certificate(der)
    left = certificates.seconds_left(certificate, now)
    return {
        "file": str(file),
        "name": name,
        "role": role,
        "addresses": certificates.addresses_in(certificate),
        "expires_at": int(now + left),
        "days_left": int(left // limits.DAY_SECONDS),
        "fingerprint": identity.show_fingerprint(identity.fingerprint(der)),
    }


def _authority(folder: Path) -> tuple[bytes, bytes]:
    """The farm's authority and its key, in PEM form."""
    hint, key = "make the authority with `tsfarm pki init`", folder / "authority.key"
    files = _content(folder / "authority.crt", hint), _content(key, hint)
    if exposed := private.exposure(key, "farm"):
        raise TsfarmError(exposed)
    return files


def _content(file: Path, hint: str = "") -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TsfarmError(f"{file}: {error.strerror}{hint and '; '}{hint}") from None


def _read(file: Path, understand: Callable[[bytes], Any], hint: str = "") -> Any:
    content = _content(file, hint)
    try:
        return understand(content)
    except IdentityError as error:
        raise TsfarmError(f"{file}: {error}") from None


def _fingerprint(pem: bytes) -> str:
    return identity.show_fingerprint(identity.fingerprint(certificates.certificate_der(pem)))


def _until(pem: bytes) -> str:
    certificate = certificates.parse_certificate(certificates.certificate_der(pem))
    return f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}"


pki.add_command(pki_revoke)


def write_new(files: dict[Path, bytes]) -> None:
    """Writes these files, readable by their owner only. Raises TsfarmError, and writes none, when
    one exists."""
    for path in files:
        if path.exists():
            raise TsfarmError(f"{path} exists, and is not overwritten: move it away first")
    _replace(files)


def _replace(files: dict[Path, bytes]) -> None:
    for path, content in files.items():
        try:
            durable.replace(path, content)
        except OSError as error:
            raise TsfarmError(f"cannot write {path}: {error.strerror}") from None
