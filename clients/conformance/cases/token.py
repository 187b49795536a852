"""License tokens: how a terminal server treats each kind of wrong one, and how a license server
signs."""

from __future__ import annotations

import msgpack
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from clients.conformance.acting import CaseContext
from clients.conformance.case import LICENSE_SERVER, TERMINAL_SERVER, Case, Chapter
from clients.conformance.device import (
    DAY,
    TOKEN_DOMAIN,
    Device,
    TokenClaims,
    read_token,
    sign_encoded,
    sign_token,
)
from clients.conformance.peer import Peer
from clients.conformance.reach import acquire_license
from clients.conformance.target import Issuer, Setup, Unavailable
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseKind, Role

chapter = Chapter()


class Bearer:
    """A device, and the license server whose tokens it may hold."""

    def __init__(self, context: CaseContext) -> None:
        self.context = context
        self.device = context.device()
        self.issuer = context.issuer()

    def claims(self, **changes: object) -> TokenClaims:
        return self.context.claims(self.device, self.issuer, **changes)

    def show(self, token: bytes, certificate: bytes | None = None) -> Peer:
        self.device.token = token
        self.device.issuer_certificate = (
            self.issuer.certificate if certificate is None else certificate
        )
        return self.context.show(self.device)

    def is_let_in(self, token: bytes) -> messages.LicenseAccepted:
        return self.show(token).hear(messages.LicenseAccepted)

    def is_refused(self, token: bytes, code: ErrorCode, certificate: bytes | None = None) -> None:
        self.show(token, certificate).expect_goodbye(code)

    def refused_claims(
        self, code: ErrorCode, signer: Issuer | None = None, **changes: object
    ) -> None:
        signer = signer or self.issuer
        token = sign_token(self.claims(**changes), signer.key)
        self.is_refused(token, code, signer.certificate)


def packed(*values: object) -> bytes:
    data: bytes = msgpack.packb(values)
    return data


@chapter.case("TOKEN-01", TERMINAL_SERVER)
def a_token_that_cannot_be_read(context: CaseContext) -> None:
    bearer = Bearer(context)
    good = sign_token(bearer.claims(), bearer.issuer.key)
    encoded, signature = msgpack.unpackb(good)
    long_form = b"\x92\xc5" + len(encoded).to_bytes(2, "big") + encoded + good[-66:]
    for token in (
        b"\x00",
        good[:-1],
        good + b"\x00",
        packed(encoded),
        packed(encoded, signature, b""),
        packed(encoded.hex(), signature),
        long_form,
        bytes(limits.TOKEN_BYTES),
    ):
        bearer.is_refused(token, ErrorCode.LICENSE_TAMPERED)


@chapter.case("TOKEN-01", TERMINAL_SERVER)
def claims_that_cannot_be_read(context: CaseContext) -> None:
    bearer = Bearer(context)
    for encoded in (b"", b"\x90", packed(1, context.target.farm), packed(*["x"] * 13)):
        token = sign_encoded(encoded, bearer.issuer.key)
        bearer.is_refused(token, ErrorCode.LICENSE_TAMPERED)


@chapter.case("TOKEN-02", TERMINAL_SERVER)
def a_changed_byte(context: CaseContext) -> None:
    bearer = Bearer(context)
    good = bytearray(sign_token(bearer.claims(), bearer.issuer.key))
    good[-1] ^= 1
    bearer.is_refused(bytes(good), ErrorCode.LICENSE_TAMPERED)


@chapter.case("TOKEN-02", TERMINAL_SERVER)
def a_later_end(context: CaseContext) -> None:
    """The signature of one token beside the claims of another."""
    bearer = Bearer(context)
    _, signature = msgpack.unpackb(sign_token(bearer.claims(), bearer.issuer.key))
    longer = bearer.claims(expires_at=int(context.now) + 300 * DAY)
    encoded, _ = msgpack.unpackb(sign_token(longer, bearer.issuer.key))
    bearer.is_refused(packed(encoded, signature), ErrorCode.LICENSE_TAMPERED)


@chapter.case("TOKEN-02", TERMINAL_SERVER)
def another_servers_key(context: CaseContext) -> None:
    bearer = Bearer(context)
    other = context.issuer("another-ls")
    bearer.is_refused(sign_token(bearer.claims(), other.key), ErrorCode.LICENSE_TAMPERED)


@chapter.case("TOKEN-03", TERMINAL_SERVER)
def without_the_domain(context: CaseContext) -> None:
    bearer = Bearer(context)
    for domain in (b"", b"tsfarm license token 1", b"tsfarm device proof 1\0"):
        token = sign_token(bearer.claims(), bearer.issuer.key, domain)
        bearer.is_refused(token, ErrorCode.LICENSE_TAMPERED)


@chapter.case("TOKEN-04", TERMINAL_SERVER)
def an_issuer_of_another_farm(context: CaseContext) -> None:
    bearer = Bearer(context)
    bearer.refused_claims(ErrorCode.LICENSE_FOREIGN, context.issuer(farm="elsewhere"))


@chapter.case("TOKEN-04", TERMINAL_SERVER)
def an_issuer_that_is_no_license_server(context: CaseContext) -> None:
    bearer = Bearer(context)
    for role in (Role.TERMINAL_SERVER, Role.ADMINISTRATOR, Role.SESSION_DIRECTORY):
        bearer.refused_claims(ErrorCode.LICENSE_FOREIGN, context.issuer(role=role))


@chapter.case("TOKEN-05", TERMINAL_SERVER)
def a_certificate_that_has_expired(context: CaseContext) -> None:
    bearer = Bearer(context)
    bearer.refused_claims(
        ErrorCode.LICENSE_FOREIGN, context.issuer("conformance-old", expired=True)
    )


@chapter.case("TOKEN-06", TERMINAL_SERVER)
def claims_of_another_farm(context: CaseContext) -> None:
    Bearer(context).refused_claims(ErrorCode.LICENSE_FOREIGN, farm="elsewhere")


@chapter.case("TOKEN-06", TERMINAL_SERVER)
def claims_of_another_issuer(context: CaseContext) -> None:
    Bearer(context).refused_claims(ErrorCode.LICENSE_FOREIGN, issuer="another-ls")


@chapter.case("TOKEN-07", TERMINAL_SERVER)
def another_product(context: CaseContext) -> None:
    Bearer(context).refused_claims(ErrorCode.LICENSE_FOREIGN, product="another-product")


@chapter.case("TOKEN-07", TERMINAL_SERVER)
def a_higher_version(context: CaseContext) -> None:
    bearer = Bearer(context)
    bearer.is_let_in(sign_token(bearer.claims(product_version=65_535), bearer.issuer.key))


@chapter.case("TOKEN-07", TERMINAL_SERVER, setup=Setup.SECOND_VERSION, also=("LIC-06", "LIC-16"))
def a_lower_version(context: CaseContext) -> None:
    """It counts as no token: the target asks for another, and without another it refuses the
    device."""
    license_server = context.accept(Role.LICENSE_SERVER)
    own = version_above_others(context)
    bearer = Bearer(context)
    lower = bearer.claims(product_version=own - 1)
    client = bearer.show(sign_token(lower, bearer.issuer.key))
    acquire = license_server.hear(messages.AcquireLicense)
    context.check(acquire.product_version == own, f"a question for version {own}")
    license_server.answer(acquire, messages.Refused(code=ErrorCode.NO_LICENSE))
    client.expect_goodbye(ErrorCode.NO_LICENSE)


@chapter.case("TOKEN-07", TERMINAL_SERVER, setup=Setup.SECOND_VERSION)
def its_own_version_and_the_next(context: CaseContext) -> None:
    """The lowest versions that suffice: the target asks no license server for another token."""
    license_server = context.accept(Role.LICENSE_SERVER)
    own = version_above_others(context)
    bearer = Bearer(context)
    for version in (own, own + 1):
        claims = bearer.claims(product_version=version)
        bearer.is_let_in(sign_token(claims, bearer.issuer.key))
    license_server.expect_silence(0.1)


def version_above_others(context: CaseContext) -> int:
    """The target's product version. Raises Unavailable when no version is lower."""
    _, request = context.licensing()
    if request.product_version == 1:
        raise Unavailable("the target runs version 1 of the product: no version is lower")
    return request.product_version


@chapter.case("TOKEN-08", TERMINAL_SERVER)
def another_devices_token(context: CaseContext) -> None:
    other: Device = context.device()
    Bearer(context).refused_claims(ErrorCode.LICENSE_NOT_YOURS, device_id=other.id)


@chapter.case("TOKEN-09", TERMINAL_SERVER, setup=Setup.PLAYED)
def the_second_of_expiry(context: CaseContext) -> None:
    """An expired token counts as none; a live one near its end is renewed."""
    license_server = context.accept(Role.LICENSE_SERVER)
    bearer = Bearer(context)
    for left, wanted in ((0, messages.AcquireLicense), (2, messages.RenewLicense)):
        bearer.show(
            sign_token(bearer.claims(expires_at=int(context.now) + left), bearer.issuer.key)
        )
        license_server.hear(wanted)


@chapter.case("TOKEN-10", TERMINAL_SERVER)
def the_first_fault_decides(context: CaseContext) -> None:
    bearer = Bearer(context)
    other, foreign = context.device(), context.issuer(farm="elsewhere")
    past = int(context.now) - DAY
    all_wrong = bearer.claims(product="another-product", device_id=other.id, expires_at=past)
    broken = bytearray(sign_token(all_wrong, foreign.key))
    bearer.is_refused(bytes(broken[:-1]), ErrorCode.LICENSE_TAMPERED, foreign.certificate)
    bearer.is_refused(bytes(broken), ErrorCode.LICENSE_FOREIGN, foreign.certificate)
    broken[-1] ^= 1
    bearer.is_refused(bytes(broken), ErrorCode.LICENSE_TAMPERED)
    bearer.refused_claims(
        ErrorCode.LICENSE_FOREIGN, product="another-product", device_id=other.id, expires_at=past
    )
    bearer.refused_claims(ErrorCode.LICENSE_NOT_YOURS, device_id=other.id, expires_at=past)


@chapter.case("TOKEN-11", TERMINAL_SERVER)
def claims_that_are_new(context: CaseContext) -> None:
    bearer = Bearer(context)
    encoded, _ = msgpack.unpackb(sign_token(bearer.claims(), bearer.issuer.key))
    newer = packed(*msgpack.unpackb(encoded), "new", 7)
    bearer.is_let_in(sign_encoded(newer, bearer.issuer.key))


@chapter.case("TOKEN-11", TERMINAL_SERVER)
def another_version_of_claims(context: CaseContext) -> None:
    for version in (0, 2):
        Bearer(context).refused_claims(ErrorCode.LICENSE_TAMPERED, version=version)


@chapter.case("TOKEN-12", TERMINAL_SERVER)
def kinds_that_are_no_token(context: CaseContext) -> None:
    for kind in (LicenseKind.NONE, LicenseKind.GRACE, 9):
        Bearer(context).refused_claims(ErrorCode.LICENSE_TAMPERED, kind=int(kind))


@chapter.case("TOKEN-13", TERMINAL_SERVER)
def no_certificate_beside_it(context: CaseContext) -> None:
    bearer = Bearer(context)
    token = sign_token(bearer.claims(), bearer.issuer.key)
    for certificate in (b"", b"\x30\x00", bearer.issuer.certificate[:-1]):
        bearer.is_refused(token, ErrorCode.LICENSE_TAMPERED, certificate)


@chapter.case("TOKEN-14", LICENSE_SERVER)
def what_it_issues_is_signed(context: CaseContext) -> None:
    issued = issue(context, "user")
    _check_signature(context, issued)
    claims = read_token(issued.token)
    context.check(
        claims.version == 1 and claims.farm == context.target.farm, "version 1 and the farm"
    )
    context.check(claims.expires_at > context.now, "an end that is to come")


@chapter.case("TOKEN-14", LICENSE_SERVER)
def a_long_user_name_is_clipped(context: CaseContext) -> None:
    issued = issue(context, "\N{GRINNING FACE}" * 104)
    _check_signature(context, issued)
    name = read_token(issued.token).user_name.encode()
    context.check(len(issued.token) <= limits.TOKEN_BYTES, f"at most {limits.TOKEN_BYTES} bytes")
    context.check(len(name) == 256, "a user name of 256 bytes")


def issue(context: CaseContext, user_name: str) -> messages.LicenseIssued:
    """The first token of a new device."""
    request = acquire_license(context.rng.randbytes(32), context.fresh_name("product"))
    request.user_name = user_name
    return context.open(Role.TERMINAL_SERVER).ask_for(messages.LicenseIssued, request)


def _check_signature(context: CaseContext, issued: messages.LicenseIssued) -> None:
    encoded, signature = msgpack.unpackb(issued.token)
    key = x509.load_der_x509_certificate(issued.issuer_certificate).public_key()
    assert isinstance(key, Ed25519PublicKey)
    try:
        key.verify(signature, TOKEN_DOMAIN + encoded)
    except InvalidSignature:
        context.check(False, "the issuer's signature over domain and claims")


def cases() -> list[Case]:
    return chapter.cases
