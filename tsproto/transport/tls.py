"""TLS contexts of a farm: TLS 1.3 only, and no trusted authority but the farm's.

OpenSSL compares no host name: `dial` compares names and addresses, and says what the certificate
has instead. A client has no certificate: servers ask for one and accept none.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from tsproto import identity
from tsproto.error_text import words_of

PLAIN_FINGERPRINT = bytes(identity.DIGEST_BYTES)


class FarmContext(ssl.SSLContext):
    """A TLS context with the SHA-256 of its own certificate, zero bytes for none."""

    fingerprint: bytes = PLAIN_FINGERPRINT


def server_tls(certificate_path: Path, key_path: Path, authority_path: Path) -> FarmContext:
    """For a daemon that listens. Raises OSError when a file cannot be read, and ssl.SSLError, with
    a text for people, when its content is unusable."""
    context = _daemon_context(ssl.PROTOCOL_TLS_SERVER, certificate_path, key_path, authority_path)
    context.verify_mode = ssl.CERT_OPTIONAL
    # No session tickets: the certificate of a resumed link would not be verified again. Links last
    # long, so few would be resumed, and a CPU core does a third more handshakes without tickets.
    context.num_tickets = 0
    return context


def daemon_tls(certificate_path: Path, key_path: Path, authority_path: Path) -> FarmContext:
    """For a daemon or an administrator that dials. Raises as `server_tls` does."""
    return _daemon_context(ssl.PROTOCOL_TLS_CLIENT, certificate_path, key_path, authority_path)


def client_tls(authority_pems: Sequence[bytes]) -> FarmContext:
    """For a client that trusts these authorities. Raises ssl.SSLError when one is unreadable."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    for pem in authority_pems:
        try:
            context.load_verify_locations(cadata=pem.decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError):  # ValueError: it is empty
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "no certificate in PEM form") from None
    return context


def client_tls_unverified() -> FarmContext:
    """For a client whose user has not confirmed the farm's authority yet."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_NONE
    return context


def _daemon_context(
    protocol: int, certificate_path: Path, key_path: Path, authority_path: Path
) -> FarmContext:
    context = _context(protocol)
    try:
        context.load_cert_chain(certificate_path, key_path)
        context.load_verify_locations(authority_path)
    except ssl.SSLError as error:
        raise ssl.SSLError(error.errno, words_of(error)) from None
    from tsproto.certificates import certificate_der  # slow to import, and not needed by clients

    der = certificate_der(certificate_path.read_bytes())
    context.fingerprint = identity.fingerprint(der)
    return context


def _context(protocol: int) -> FarmContext:
    context = FarmContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    return context
