"""What a user reads of the system's and OpenSSL's complaints."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

import pytest

from tsproto.certificates import create_authority, issue_certificate
from tsproto.error_text import refuses_our_certificate, words_of
from tsproto.errors import ErrorCode
from tsproto.messages import Role
from tsproto.transport.tls import client_tls, daemon_tls

TWO_ADDRESSES = (
    "Multiple exceptions: [Errno 111] Connect call failed ('::1', 5600, 0, 0),"
    " [Errno 111] Connect call failed ('127.0.0.1', 5600)"
)


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:2580)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(111, "Connect call failed ('127.0.243.101', 5600)"), "Connection refused"),
        (OSError(TWO_ADDRESSES), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (
            OSError(-2, "Name or service not known (while attempting to bind on address 'x')"),
            "Name or service not known",
        ),
        (UnicodeError("label empty or too long"), "label empty or too long"),
        (tls_error("WRONG_VERSION_NUMBER"), "the peer does not speak TLS"),
        (tls_error("TLSV1_ALERT_UNKNOWN_CA"), "the peer refused our certificate"),
        (tls_error("BAD_LENGTH"), "bad length"),
    ],
)
def test_a_complaint_in_plain_words(error: Exception, words: str) -> None:
    assert words_of(error) == words


def test_only_an_alert_about_it_refuses_our_certificate() -> None:
    assert refuses_our_certificate(tls_error("SSLV3_ALERT_BAD_CERTIFICATE"))
    assert not refuses_our_certificate(tls_error("TLSV1_ALERT_INTERNAL_ERROR"))
    assert not refuses_our_certificate(ConnectionResetError(104, "Connection reset by peer"))
    assert not refuses_our_certificate(None)


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    authority, authority_key = create_authority("lab", time.time())
    certificate, _ = issue_certificate(
        authority, authority_key, Role.ADMINISTRATOR, "admin", time.time()
    )
    files = tmp_path / "crt", tmp_path / "key", tmp_path / "ca"
    for file, content in zip(files, (certificate, authority_key, authority), strict=True):
        file.write_bytes(content)
    with pytest.raises(ssl.SSLError) as caught:
        daemon_tls(*files)
    assert str(caught.value) == "the key does not belong to the certificate"


@pytest.mark.parametrize("content", [b"nonsense", b"", b"\x30\x82\xff", "…".encode()])
def test_an_authority_that_is_no_certificate(content: bytes) -> None:
    with pytest.raises(ssl.SSLError) as caught:
        client_tls([content])
    assert str(caught.value) == "no certificate in PEM form"


def test_an_authority_may_have_a_comment_in_any_language() -> None:
    pem, _ = create_authority("farm", time.time())
    assert client_tls(["# Behörde\n".encode() + pem]).cert_store_stats()["x509_ca"] == 1


def test_a_codes_meaning_says_nothing_of_who_sends_it() -> None:
    assert not [code for code in ErrorCode if "sent)" in code.meaning]
