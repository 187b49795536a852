"""`tsfarm pki …`: makes the certificates of a farm."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from clients.examples import example
from tsproto import certificates, identity
from tsproto.errors import TsfarmError


@click.group(epilog=example("tsfarm pki init --farm lab", "tsfarm pki issue terminal-server ts1"))
def pki() -> None:
    """Make the certificates of a farm."""


@pki.command("init", epilog=example("tsfarm pki init --farm lab --dir pki"))
@click.option("--farm", required=True, help="The farm's name; it stands in every certificate.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path("pki"))
def pki_init(farm: str, folder: Path) -> None:
    """Make a farm's authority: authority.crt for everybody, authority.key to be kept safe."""
    certificate, key = certificates.create_authority(farm, time.time())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_new({folder / "authority.key": key, folder / "authority.crt": certificate})
    shown = identity.fingerprint(certificates.certificate_der(certificate))
    click.echo(f"{folder / 'authority.crt'}: {identity.show_fingerprint(shown)}")


@pki.command("issue", epilog=example("tsfarm pki issue terminal-server ts1 --dir pki"))
@click.argument("role", type=click.Choice(list(identity.ROLE_WORDS.values())))
@click.argument("name")
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path("pki"))
@click.option(
    "--asks-secrets",
    is_flag=True,
    help="Let the terminal server ask users for passwords and codes, for its `pam`.",
)
def pki_issue(role: str, name: str, folder: Path, asks_secrets: bool) -> None:
    """Make a certificate and key for one daemon or administrator, NAME.crt and NAME.key."""
    if name == "authority":
        raise TsfarmError("'authority' names the farm's own files: choose another name")
    try:
        authority = (folder / "authority.crt").read_bytes()
        authority_key = (folder / "authority.key").read_bytes()
    except OSError as error:
        raise TsfarmError(
            f"{error.filename}: {error.strerror}; make the authority with `tsfarm pki init`"
        ) from None
    chosen = next(each for each, word in identity.ROLE_WORDS.items() if word == role)
    certificate, key = certificates.issue_certificate(
        authority, authority_key, chosen, name, time.time(), asks_secrets=asks_secrets
    )
    write_new({folder / f"{name}.key": key, folder / f"{name}.crt": certificate})
    click.echo(f"{folder / name}.crt, {folder / name}.key")


def write_new(files: dict[Path, bytes]) -> None:
    """Writes these files, readable by their owner only. Raises TsfarmError, and writes none, when
    one exists."""
    for path in files:
        if path.exists():
            raise TsfarmError(f"{path} exists, and is not overwritten: move it away first")
    for path, content in files.items():
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise TsfarmError(f"cannot write {path}: {error.strerror}") from None
