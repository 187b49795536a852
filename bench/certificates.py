"""A farm's authority and certificates for a bench, in a folder."""

from __future__ import annotations

import time
from pathlib import Path

from tsproto import certificates
from tsproto.messages import Role


def make_authority(folder: Path, farm: str = "bench") -> None:
    folder.mkdir(exist_ok=True)
    certificate, key = certificates.create_authority(farm, time.time())
    (folder / "authority.crt").write_bytes(certificate)
    (folder / "authority.key").write_bytes(key)


def issue(folder: Path, role: Role, name: str) -> tuple[Path, Path]:
    """The paths of a new certificate and its key, signed by the folder's authority."""
    authority, authority_key = (folder / f"authority.{end}" for end in ("crt", "key"))
    certificate, key = certificates.issue_certificate(
        authority.read_bytes(), authority_key.read_bytes(), role, name, time.time()
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    for path, content in zip(paths, (certificate, key), strict=True):
        path.write_bytes(content)
    return paths
