"""Turns errors of the system and of OpenSSL into words that a user can act on."""

from __future__ import annotations

import os
import re
import socket
import ssl

ERRNO = re.compile(r"\[Errno (\d+)\]")
# By OpenSSL's reason; its other reasons are clear as they are.
TLS_WORDS = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "NO_START_LINE": "no certificate, or no key, in PEM form",
    "PEM_LIB": "no certificate, or no key, in PEM form",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
    "RECORD_LAYER_FAILURE": "the peer does not speak TLS",
    "UNEXPECTED_EOF_WHILE_READING": "the peer hung up in the middle of TLS",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer speaks no version of TLS that we speak",
}
# Alerts by which a peer refuses our certificate (RFC 8446 6.2), in OpenSSL's names.
CERTIFICATE_ALERTS = (
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "DECRYPT_ERROR",
    "ACCESS_DENIED",
    "CERTIFICATE_REQUIRED",
)


def words_of(error: Exception) -> str:
    """One line, without error numbers, addresses and places in C files."""
    if isinstance(error, ssl.SSLError):
        return _tls_words(error)
    # socket.create_server makes an OSError of a gaierror, with its negative number.
    if isinstance(error, socket.gaierror) or (
        isinstance(error, OSError) and (error.errno or 0) < 0
    ):
        return (error.strerror or str(error)).partition(" (while")[0]
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    # For a name with several addresses asyncio puts all their errors into one text.
    numbers = dict.fromkeys(map(int, ERRNO.findall(str(error))))
    return ", ".join(map(os.strerror, numbers)) or str(error)


def refuses_our_certificate(error: Exception | None) -> bool:
    """Whether the peer's alert refuses our certificate. A TLS 1.3 client gets it after its own
    handshake has succeeded."""
    reason = (isinstance(error, ssl.SSLError) and error.reason) or ""
    return "_ALERT_" in reason and reason.endswith(CERTIFICATE_ALERTS)


def _tls_words(error: ssl.SSLError) -> str:
    if refuses_our_certificate(error):
        return "the peer refused our certificate"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if not error.reason:
        return error.strerror or str(error)
    return TLS_WORDS.get(error.reason) or error.reason.replace("_", " ").lower()
