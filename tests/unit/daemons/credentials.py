"""Credentials of a daemon without files."""

from __future__ import annotations

import time

from daemons.credentials import Credentials
from tsproto.authorities import Authorities
from tsproto.certificates import certificate_der, create_authority, issue_certificate
from tsproto.identity import load_key
from tsproto.limits import CERTIFICATE_DAYS
from tsproto.messages import Role

ADDRESS = "ls.example"


def made(
    name: str, now: float | None = None, days: int = CERTIFICATE_DAYS, farm: str = "north"
) -> Credentials:
    now = time.time() if now is None else now
    authority, authority_key = create_authority(farm, now)
    certificate, key = issue_certificate(
        authority,
        authority_key,
        Role.LICENSE_SERVER,
        name,
        now,
        days=days,
        addresses=[ADDRESS],
    )
    der = certificate_der(authority)
    return Credentials(name, certificate_der(certificate), load_key(key), der, Authorities((der,)))
