import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tsproto import limits
from tsproto.certificates import (
    addresses_in,
    certificate_der,
    create_authority,
    farm_of,
    identity_of,
    issue_certificate,
    seconds_left,
)
from tsproto.errors import DeviceProofInvalid, ErrorCode
from tsproto.identity import (
    DeviceKey,
    Identity,
    IdentityError,
    fingerprint,
    identity_among,
    load_key,
    show_fingerprint,
    shown_address,
    verify_device_proof,
)
from tsproto.messages import AdministratorRole, Role

NOW = 1_800_000_000.0
DAY = 86_400
# A TLS handshake in memory is checked against the real clock: these certificates always hold.
TLS_NOW, TLS_DAYS = 1_700_000_000.0, 200 * 365
NONCE = bytes(range(32))
CERTIFICATE = bytes([7]) * 32


@pytest.fixture(scope="module")
def authority() -> tuple[bytes, bytes]:
    return create_authority("lab", NOW)


def parsed(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


@pytest.mark.parametrize(
    "role",
    [
        Role.TERMINAL_SERVER,
        Role.LICENSE_SERVER,
        Role.SESSION_DIRECTORY,
        Role.ADMINISTRATOR,
    ],
)
def test_a_certificate_says_farm_role_and_name(authority: tuple[bytes, bytes], role: Role) -> None:
    pem, _ = issue_certificate(*authority, role, "ts1.lab_a-b", NOW)
    administers = AdministratorRole.VIEWER if role is Role.ADMINISTRATOR else None
    assert identity_of(certificate_der(pem)) == Identity("lab", role, "ts1.lab_a-b", administers)
    parsed(pem).verify_directly_issued_by(parsed(authority[0]))


def test_only_a_terminal_servers_certificate_lets_it_ask_for_secrets(
    authority: tuple[bytes, bytes],
) -> None:
    pem, _ = issue_certificate(*authority, Role.TERMINAL_SERVER, "ts1", NOW, asks_secrets=True)
    expected = Identity("lab", Role.TERMINAL_SERVER, "ts1", asks_secrets=True)
    assert identity_of(certificate_der(pem)) == expected
    with pytest.raises(IdentityError, match="only a terminal server asks users for secrets"):
        issue_certificate(*authority, Role.LICENSE_SERVER, "ls1", NOW, asks_secrets=True)


@pytest.mark.parametrize("administers", AdministratorRole)
def test_an_administrators_certificate_says_its_role(
    authority: tuple[bytes, bytes], administers: AdministratorRole
) -> None:
    pem, _ = issue_certificate(
        *authority, Role.ADMINISTRATOR, "alice", NOW, administrator_role=administers
    )
    found = Identity("lab", Role.ADMINISTRATOR, "alice", administers)
    assert identity_of(certificate_der(pem)) == found
    assert found.uri == f"tsfarm://lab/administrator/alice/{administers.word}"


@pytest.mark.parametrize(
    "path", ["administrator/alice", "administrator/alice/root", "terminal-server/ts1/admin"]
)
def test_a_role_stands_in_an_administrators_certificate_and_in_no_other(path: str) -> None:
    with pytest.raises(IdentityError, match="viewer, operator, admin and a daemon's none"):
        identity_among([f"tsfarm://lab/{path}"])


def test_a_certificate_holds_from_the_day_before_for_its_days(
    authority: tuple[bytes, bytes],
) -> None:
    pem, _ = issue_certificate(*authority, Role.TERMINAL_SERVER, "ts1", NOW, days=730)
    certificate = parsed(pem)
    assert certificate.not_valid_before_utc.timestamp() == NOW - DAY
    assert certificate.not_valid_after_utc.timestamp() == NOW + 2 * 365 * DAY


def test_a_certificate_holds_for_a_year_by_default(authority: tuple[bytes, bytes]) -> None:
    pem, _ = issue_certificate(*authority, Role.TERMINAL_SERVER, "ts1", NOW)
    assert seconds_left(parsed(pem), NOW) == 365 * DAY
    assert seconds_left(parsed(pem), NOW + 366 * DAY) == -DAY


def test_a_daemons_certificate_carries_its_name_and_addresses(
    authority: tuple[bytes, bytes],
) -> None:
    given = ["Farm.example.", "192.0.2.1", "2001:DB8:0::1", "farm.example", "ts1"]
    pem, _ = issue_certificate(*authority, Role.TERMINAL_SERVER, "ts1", NOW, addresses=given)
    assert addresses_in(parsed(pem)) == ["ts1", "farm.example", "192.0.2.1", "2001:db8::1"]


def test_an_administrators_certificate_carries_no_address(authority: tuple[bytes, bytes]) -> None:
    pem, _ = issue_certificate(*authority, Role.ADMINISTRATOR, "admin", NOW)
    assert addresses_in(parsed(pem)) == []
    with pytest.raises(IdentityError, match="nobody dials an administrator"):
        issue_certificate(*authority, Role.ADMINISTRATOR, "admin", NOW, addresses=["ts1.example"])


@pytest.mark.parametrize(
    "address",
    ["", "a b", "*.example", "ts1:5600", "https://ts1", "ä.example", "a" * 64, "-a.example"],
)
def test_a_bad_address_stands_in_no_certificate(
    authority: tuple[bytes, bytes], address: str
) -> None:
    with pytest.raises(IdentityError, match="neither a host name nor an IP address"):
        issue_certificate(*authority, Role.TERMINAL_SERVER, "ts1", NOW, addresses=[address])


def test_a_certificate_has_as_many_addresses_as_fit_beside_a_license(
    authority: tuple[bytes, bytes],
) -> None:
    many = [f"{number:03}.{'a' * 60}.example" for number in range(60)]
    pem, _ = issue_certificate(*authority, Role.LICENSE_SERVER, "ls1", NOW, addresses=many[:45])
    assert len(certificate_der(pem)) <= limits.CERTIFICATE_BYTES
    with pytest.raises(IdentityError, match="60 addresses make the certificate larger than 4096"):
        issue_certificate(*authority, Role.LICENSE_SERVER, "ls1", NOW, addresses=many)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Farm.Example.", "farm.example"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0:0:0:0:1\n", "2001:db8::1"),  # OpenSSL ends an address with a new line
    ],
)
def test_an_address_is_compared_in_one_form(typed: str, shown: str) -> None:
    assert shown_address(typed) == shown


def test_a_certificate_never_outlives_its_authority(authority: tuple[bytes, bytes]) -> None:
    pem, _ = issue_certificate(*authority, Role.TERMINAL_SERVER, "ts1", NOW, days=21 * 365)
    assert parsed(pem).not_valid_after_utc == parsed(authority[0]).not_valid_after_utc


def test_two_certificates_differ_in_serial_number_and_key(authority: tuple[bytes, bytes]) -> None:
    first, second = (
        parsed(issue_certificate(*authority, Role.LICENSE_SERVER, "ls1", NOW)[0]) for _ in range(2)
    )
    assert first.serial_number != second.serial_number
    assert first.public_key() != second.public_key()


def test_a_certificate_can_be_renewed_for_the_same_key(authority: tuple[bytes, bytes]) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    pem, key_pem = issue_certificate(*authority, Role.LICENSE_SERVER, "ls1", NOW, key=key)
    assert parsed(pem).public_key() == key.public_key() == load_key(key_pem).public_key()


def test_a_daemon_listens_under_its_name_and_an_administrator_does_not(
    authority: tuple[bytes, bytes],
) -> None:
    def purposes_and_hosts(role: Role) -> tuple[int, list[str]]:
        extensions = parsed(issue_certificate(*authority, role, "x1", NOW)[0]).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        return len(list(purposes)), names.get_values_for_type(x509.DNSName)

    assert purposes_and_hosts(Role.TERMINAL_SERVER) == (2, ["x1"])
    assert purposes_and_hosts(Role.ADMINISTRATOR) == (1, [])


def test_a_client_gets_no_certificate(authority: tuple[bytes, bytes]) -> None:
    with pytest.raises(IdentityError, match="client"):
        issue_certificate(*authority, Role.CLIENT, "laptop1", NOW)


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a b", "a\n", "ä", "a" * 65])
def test_a_bad_name_stands_in_no_certificate(authority: tuple[bytes, bytes], name: str) -> None:
    with pytest.raises(IdentityError, match="name"):
        issue_certificate(*authority, Role.TERMINAL_SERVER, name, NOW)
    with pytest.raises(IdentityError, match="farm"):
        create_authority(name, NOW)


def test_the_longest_name_and_farm_fit() -> None:
    authority = create_authority("f" * 64, NOW)
    pem, _ = issue_certificate(*authority, Role.SESSION_DIRECTORY, "n" * 64, NOW)
    assert identity_of(certificate_der(pem)) == Identity("f" * 64, Role.SESSION_DIRECTORY, "n" * 64)


def test_another_authoritys_key_signs_nothing(authority: tuple[bytes, bytes]) -> None:
    _, other_key = create_authority("lab", NOW)
    with pytest.raises(IdentityError, match="belong together"):
        issue_certificate(authority[0], other_key, Role.TERMINAL_SERVER, "ts1", NOW)


def test_a_daemons_certificate_is_no_authority(authority: tuple[bytes, bytes]) -> None:
    daemon = issue_certificate(*authority, Role.TERMINAL_SERVER, "ts1", NOW)
    assert farm_of(certificate_der(authority[0])) == "lab"
    with pytest.raises(IdentityError, match="authority"):
        farm_of(certificate_der(daemon[0]))
    with pytest.raises(IdentityError, match="authority"):
        issue_certificate(*daemon, Role.TERMINAL_SERVER, "ts2", NOW)


def test_an_authority_and_rubbish_have_no_identity(authority: tuple[bytes, bytes]) -> None:
    with pytest.raises(IdentityError, match="FARM/ROLE/NAME"):
        identity_of(certificate_der(authority[0]))
    with pytest.raises(IdentityError, match="X.509"):
        identity_of(b"rubbish")


def test_files_that_hold_something_else_are_named(authority: tuple[bytes, bytes]) -> None:
    certificate, key = authority
    with pytest.raises(IdentityError, match="no certificate"):
        certificate_der(key)
    with pytest.raises(IdentityError, match="private key"):
        load_key(certificate)


def test_a_fingerprint_is_shown_as_openssl_shows_it() -> None:
    assert show_fingerprint(fingerprint(b"")) == (
        "E3:B0:C4:42:98:FC:1C:14:9A:FB:F4:C8:99:6F:B9:24:27:AE:41:E4:64:9B:93:4C:A4:95:99:1B:78:52"
        ":B8:55"
    )


def test_openssl_verifies_both_ends_strictly(tmp_path: Path) -> None:
    authority, authority_key = create_authority("lab", TLS_NOW, TLS_DAYS)

    def context(protocol: int, role: Role, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        context.load_verify_locations(cadata=authority.decode())
        files = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        pems = issue_certificate(authority, authority_key, role, name, TLS_NOW, days=TLS_DAYS)
        for file, pem in zip(files, pems, strict=True):
            file.write_bytes(pem)
        context.load_cert_chain(*files)
        return context

    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context(ssl.PROTOCOL_TLS_CLIENT, Role.ADMINISTRATOR, "alice").wrap_bio(
        to_client, to_server, server_hostname="ts1"
    )
    server = context(ssl.PROTOCOL_TLS_SERVER, Role.TERMINAL_SERVER, "ts1").wrap_bio(
        to_server, to_client, server_side=True
    )
    for _ in range(3):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    seen_by_client, seen_by_server = client.getpeercert(True), server.getpeercert(True)
    assert seen_by_client is not None and seen_by_server is not None
    assert identity_of(seen_by_client) == Identity("lab", Role.TERMINAL_SERVER, "ts1")
    alice = Identity("lab", Role.ADMINISTRATOR, "alice", AdministratorRole.VIEWER)
    assert identity_of(seen_by_server) == alice


def test_a_device_proves_its_id() -> None:
    device = DeviceKey(bytes(32))
    proof = device.prove(NONCE, CERTIFICATE)
    assert verify_device_proof(device.public_key, proof, NONCE, CERTIFICATE) == device.device_id
    assert len(device.device_id) == 32


def test_a_stored_device_key_is_the_same_device() -> None:
    device = DeviceKey(bytes(32))
    assert DeviceKey.from_pem(device.to_pem()).device_id == device.device_id


def test_a_proof_counts_for_its_key_nonce_and_server_only() -> None:
    device, other = DeviceKey(bytes(32)), DeviceKey(bytes([1]) * 32)
    proof = device.prove(NONCE, CERTIFICATE)
    key = device.public_key
    for attempt in (
        (other.public_key, proof, NONCE, CERTIFICATE),
        (key, proof, CERTIFICATE, CERTIFICATE),
        (key, proof, NONCE, NONCE),
        (key, proof, CERTIFICATE, NONCE),
        (key, bytes(64), NONCE, CERTIFICATE),
        (key, proof[:63], NONCE, CERTIFICATE),
        (key[:31], proof, NONCE, CERTIFICATE),
        (b"\xff" * 32, proof, NONCE, CERTIFICATE),
    ):
        with pytest.raises(DeviceProofInvalid) as refusal:
            verify_device_proof(*attempt)
        assert refusal.value.code is ErrorCode.DEVICE_PROOF_INVALID


# The points of low order as libsodium and others list them; each with both signs.
LOW_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


@pytest.mark.parametrize("key", LOW_ORDER)
@pytest.mark.parametrize("sign", [0, 0x80])
def test_a_key_of_low_order_proves_nothing_whatever_was_signed(key: str, sign: int) -> None:
    public_key = bytes.fromhex(key)[:31] + bytes([bytes.fromhex(key)[31] | sign])
    for number in range(8):  # one in four or eight would be accepted by the signature alone
        with pytest.raises(DeviceProofInvalid, match="low order"):
            verify_device_proof(public_key, bytes(64), bytes([number]) * 32, bytes(32))
