"""The files of vectors: what stands in each, and how it is written, a vector a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conformance.vectors.datagrams import discovery_vectors
from tests.conformance.vectors.deny_lists import deny_list_vectors
from tests.conformance.vectors.endorsements import endorsement_vectors
from tests.conformance.vectors.frames import frame_vectors, message_vectors
from tests.conformance.vectors.statements import statement_vectors
from tests.conformance.vectors.tokens import device_proof_vectors, token_vectors
from tests.conformance.vectors.users import ssh_signature_vectors, user_proof_vectors
from tsproto.messages import TABLE

FOLDER = Path(__file__).parent


def contents() -> dict[str, str]:
    """Every file by its name; the same for the same table, in every process."""
    vectors = {
        f"message-{number:02}-{message.__name__}.json": message_vectors(message)
        for number, message in sorted(TABLE.items())
    }
    vectors["frames.json"] = frame_vectors()
    vectors["tokens.json"] = token_vectors()
    vectors["device-proofs.json"] = device_proof_vectors()
    vectors["user-proofs.json"] = user_proof_vectors()
    vectors["ssh-signatures.json"] = ssh_signature_vectors()
    vectors["endorsements.json"] = endorsement_vectors()
    vectors["deny-lists.json"] = deny_list_vectors()
    vectors["statements.json"] = statement_vectors()
    vectors["discovery.json"] = discovery_vectors()
    return {name: _document(content) for name, content in vectors.items()}


def _document(content: dict[str, Any]) -> str:
    parts = [f" {json.dumps(name)}: {_part(value)}" for name, value in content.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _part(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lines = ",\n".join(f"  {json.dumps(_vector(each))}" for each in value)
        return f"[\n{lines}\n ]"
    return json.dumps(value.hex() if isinstance(value, bytes) else _vector(value))


def _vector(value: Any) -> Any:
    """Bytes are hex; inside `values` and `claims`, where they are to be told from text, they are
    `{"hex": "…"}`."""
    if not isinstance(value, dict):
        return value
    return {
        name: _tagged(each)
        if name in ("values", "claims")
        else each.hex()
        if isinstance(each, bytes)
        else _vector(each)
        for name, each in value.items()
    }


def _tagged(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list):
        return [_tagged(each) for each in value]
    if isinstance(value, dict):
        return {name: _tagged(each) for name, each in value.items()}
    return value


def read() -> dict[str, str]:
    """What is written, by name."""
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.json"))}


def write() -> None:
    """Write every file, and remove those that are of nothing any more."""
    fresh = contents()
    for name in read().keys() - fresh.keys():
        (FOLDER / name).unlink()
    for name, text in fresh.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
