"""Certificates for the peers that the suite plays over TLS: given as files, or made with the key of
the farm's authority, which a lab keeps beside it."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import itertools
import ssl
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from clients.conformance.linking import NAMES
from clients.conformance.target import Issuer, Unavailable, word_of
from tsproto import certificates, limits
from tsproto.errors import TsfarmError
from tsproto.identity import ADMINISTRATOR_ROLES
from tsproto.messages import DAEMONS, AdministratorRole, Role

NEEDS_KEY = "needs the key of the farm's authority (--ca-key, --lab)"
YEAR_SECONDS = 365 * 86_400
LOOPBACK = ("127.0.0.1", "::1", "localhost")  # where the suite listens


class Files:
    """A certificate and its key, as files in PEM form."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate = certificate
        self.key = key


class Trust:
    """A farm's authority, its key if known, and the certificates that were given. The daemons'
    certificates that are made carry `addresses`."""

    def __init__(
        self,
        authority: Path,
        authority_key: Path | None = None,
        given: Sequence[Files] = (),
        *,
        addresses: Sequence[str] = LOOPBACK,
    ) -> None:
        self._addresses = addresses
        self._authority = authority
        self._authority_key = authority_key
        self._prefix = f"{next(_numbers)}-{authority.stem}"
        self._made: dict[tuple[Role, str, bool], Files] = {}
        self.authority_pem = authority.read_bytes()
        with _named(authority):
            self.farm = certificates.farm_of(certificates.certificate_der(self.authority_pem))
        for files in given:
            with _named(files.certificate):
                der = certificates.certificate_der(files.certificate.read_bytes())
                own = certificates.identity_of(der)
            self._made[own.role, own.name, False] = files

    @classmethod
    def invented(cls, farm: str, which: str = "own", addresses: Sequence[str] = LOOPBACK) -> Trust:
        """The authority of an invented farm of this name, the same one within this process; `which`
        tells several of one name apart. The addresses are those of the first call."""
        if (farm, which) not in _invented:
            folder = Path(_folder.name)
            certificate, key = certificates.create_authority(farm, time.time() - 3 * YEAR_SECONDS)
            files = folder / f"{which}-{farm}.crt", folder / f"{which}-{farm}.key"
            for file, content in zip(files, (certificate, key), strict=True):
                file.write_bytes(content)
            _invented[farm, which] = cls(*files, addresses=addresses)
        return _invented[farm, which]

    def without_addresses(self) -> Trust:
        """The same authority; the certificates that it makes carry no address."""
        return Trust(self._authority, self._authority_key, addresses=())

    @property
    def authority_file(self) -> Path:
        return self._authority

    def files(self, role: Role, name: str, expired: bool = False) -> Files:
        """A certificate of this role and name; an administrator called `viewer` or `operator` has
        that role. Raises Unavailable when it is neither given nor can be made."""
        if (role, name, expired) not in self._made:
            self._made[role, name, expired] = self._make(role, name, expired)
        return self._made[role, name, expired]

    def issuer(self, role: Role, name: str, expired: bool) -> Issuer:
        files = self.files(role, name, expired)
        der = certificates.certificate_der(files.certificate.read_bytes())
        return Issuer(name, der, files.key.read_bytes())

    def authority(self) -> Issuer:
        """Raises Unavailable when its key is not known."""
        der = certificates.certificate_der(self.authority_pem)
        return Issuer(self.farm, der, self._key_of_authority())

    def unidentified(self) -> Files:
        """A certificate of the authority that carries no role and name."""
        authority = x509.load_pem_x509_certificate(self.authority_pem)
        key = load_pem_private_key(self._key_of_authority(), None)
        assert isinstance(key, Ed25519PrivateKey)
        own_key = Ed25519PrivateKey.generate()
        begins = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")]))
            .issuer_name(authority.subject)
            .public_key(own_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
                critical=False,
            )
            .sign(key, None)
        )
        pem = own_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._write("nobody", certificate.public_bytes(Encoding.PEM), pem)

    def client_context(self, files: Files | None) -> ssl.SSLContext:
        """The TLS context for dialling; without `files` as a client, which has no certificate."""
        context = _context(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self._authority)
        if files is not None:
            context.load_cert_chain(files.certificate, files.key)
        return context

    def server_context(self, files: Files) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_SERVER)
        context.load_verify_locations(self._authority)
        context.load_cert_chain(files.certificate, files.key)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.num_tickets = 0
        return context

    def _make(self, role: Role, name: str, expired: bool) -> Files:
        if self._authority_key is None:
            raise Unavailable(_missing(role, name))
        now = time.time() - (2 * YEAR_SECONDS if expired else 0)
        certificate, key = certificates.issue_certificate(
            self.authority_pem,
            self._key_of_authority(),
            role,
            name,
            now,
            # The lab whose daemons look at this one may have been warped by years.
            days=limits.CERTIFICATE_DAYS if expired else limits.AUTHORITY_DAYS,
            addresses=self._addresses if role in DAEMONS else (),
            administrator_role=ADMINISTRATOR_ROLES.get(name, AdministratorRole.ADMIN),
        )
        return self._write(f"{role.name}-{name}-{expired}", certificate, key)

    def _key_of_authority(self) -> bytes:
        if self._authority_key is None:
            raise Unavailable(NEEDS_KEY)
        return self._authority_key.read_bytes()

    def _write(self, name: str, certificate: bytes, key: bytes) -> Files:
        path = Path(_folder.name) / f"{self._prefix}-{name}"
        files = Files(path.with_suffix(".crt"), path.with_suffix(".key"))
        files.certificate.write_bytes(certificate)
        files.key.touch(mode=0o600)  # a daemon refuses a key that others could read
        files.key.write_bytes(key)
        return files


@contextlib.contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except TsfarmError as error:
        raise TsfarmError(f"{file}: {error}") from None


def fingerprint_of(link: ssl.SSLSocket) -> bytes:
    """SHA-256 of the peer's certificate, 32 zero bytes when it has none."""
    der = link.getpeercert(binary_form=True)
    return hashlib.sha256(der).digest() if der else bytes(32)


def _missing(role: Role, name: str) -> str:
    """Why a certificate is missing. Only a well-known name is told: nobody makes certificates by
    hand for the names of a single case."""
    if NAMES[role] != name:
        return NEEDS_KEY
    return f"needs a certificate of {word_of(role)} {name} (--identity), or the authority's key"


def _context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    return context


# Certificates and keys of this run; deleted when it ends.
_folder = tempfile.TemporaryDirectory(prefix="conformance-")
_invented: dict[tuple[str, str], Trust] = {}
_numbers = itertools.count()  # authorities of one name have files of their own
