"""The vectors are fresh; the product agrees with them, and so does a msgpack library that knows
nothing of the product."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgpack
import msgspec
import pytest

from clients.user_keys import argon2id
from tests.conformance.vectors import files
from tsproto import codec, discovery, identity, limits, ssh_keys
from tsproto.account import Account
from tsproto.authorities import is_endorsed
from tsproto.deny_list import DenyLists
from tsproto.discovery import Scope
from tsproto.errors import DenyListError, ErrorCode, LicenseError, ProtocolError
from tsproto.license_token import Verifier
from tsproto.messages import TABLE, AccountStatement, Message, PasswordStatement
from tsproto.ssh_keys import SshKeyError
from tsproto.statements import StatementRefused, stated_account, with_password
from tsproto.user_proof import Asked, Cost, Statement, is_signed, key_of_tag

WRITTEN = {name: json.loads(text) for name, text in files.read().items()}
MESSAGES = {name: found for name, found in WRITTEN.items() if name.startswith("message-")}
FRAMES = WRITTEN["frames.json"]
TOKENS = WRITTEN["tokens.json"]
PROOFS = WRITTEN["device-proofs.json"]
USER_PROOFS = WRITTEN["user-proofs.json"]
SSH = WRITTEN["ssh-signatures.json"]
ENDORSEMENTS = WRITTEN["endorsements.json"]
DENY_LISTS = WRITTEN["deny-lists.json"]
STATEMENTS = WRITTEN["statements.json"]
DISCOVERY = WRITTEN["discovery.json"]

each_message = pytest.mark.parametrize("written", MESSAGES.values(), ids=MESSAGES.keys())


def bytes_of(text: str) -> bytes:
    return bytes.fromhex(text)


def flat(value: Any) -> Any:
    """What a vector's `values` are on the wire: an object is the array of what is in it."""
    if isinstance(value, dict):
        return bytes_of(value["hex"]) if value.keys() == {"hex"} else [*map(flat, value.values())]
    return [flat(each) for each in value] if isinstance(value, list) else value


def known_part(read: Any, meant: Any) -> Any:
    """What was read, with what is missing filled in from `meant` and what is beyond it cut off.
    Only an array of as many things as are meant, or a message or row, may differ so."""
    if not (isinstance(read, list) and isinstance(meant, list)):
        return read
    filled = [*read, *meant[len(read) :]][: len(meant)]
    return [known_part(one, other) for one, other in zip(filled, meant, strict=True)]


def message_in(frame: bytes, frame_bytes: int = limits.FRAME_BYTES) -> Message:
    ((kind, body),) = codec.FrameReader(frame_bytes).feed(frame)
    assert kind == codec.MESSAGE_KIND
    return codec.decode_message(body)


def code_of(frame: bytes, frame_bytes: int = limits.FRAME_BYTES) -> ErrorCode:
    with pytest.raises(ProtocolError) as refused:
        message_in(frame, frame_bytes)
    return refused.value.code


# --- the files ------------------------------------------------------------------------------------


def test_the_vectors_are_fresh() -> None:
    fresh = files.contents()
    stale = {name for name in fresh.keys() | files.read().keys() if _differs(name, fresh)}
    assert not stale, f"{sorted(stale)} are stale: run `make generate`"


def _differs(name: str, fresh: dict[str, str]) -> bool:
    return fresh.get(name) != files.read().get(name)


def test_every_message_has_its_file() -> None:
    assert {found["number"]: found["message"] for found in MESSAGES.values()} == {
        number: message.__name__ for number, message in TABLE.items()
    }


def test_no_two_vectors_have_one_id() -> None:
    ids = list(_ids(WRITTEN))
    assert len(ids) == len(set(ids))


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "id" in value:
            yield value["id"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _ids(each)


@each_message
def test_every_field_has_a_valid_and_an_invalid_vector(written: Any) -> None:
    good = {vector["id"].split("/")[1] for vector in written["valid"]}
    bad = {vector["id"].split("/")[1] for vector in written["invalid"]}
    for field in written["fields"][1:]:
        assert any(place.partition(".")[0].partition("[")[0] == field for place in good), field
        assert field in bad, field


# --- the product ----------------------------------------------------------------------------------


@each_message
def test_the_product_reads_every_valid_message(written: Any) -> None:
    for vector in written["valid"]:
        frame = bytes_of(vector["frame"])
        message = message_in(frame)
        assert type(message).__name__ == written["message"], vector["id"]
        again = codec.encode(message, message.request_id)
        assert (again == frame) is vector["canonical"], vector["id"]
        body = msgpack.unpackb(again[codec.HEADER.size :])
        assert body == [written["number"], *flat(vector["values"])], vector["id"]


@each_message
def test_the_product_refuses_every_invalid_message(written: Any) -> None:
    for vector in written["invalid"]:
        assert code_of(bytes_of(vector["frame"])).name == vector["code"], vector["id"]


@each_message
def test_a_valid_message_fits_where_it_is_lawful(written: Any) -> None:
    states = TABLE[written["number"]].entry.states
    most = max(FRAMES["frame_bytes"].get(state.value, 0) for state in states)
    for vector in written["valid"]:
        assert len(bytes_of(vector["frame"])) <= most, vector["id"]


@pytest.mark.parametrize("vector", FRAMES["invalid"], ids=lambda vector: vector["id"])
def test_the_product_refuses_every_broken_frame(vector: Any) -> None:
    assert code_of(bytes_of(vector["frame"]), vector["frame_bytes"]).name == vector["code"]


@pytest.mark.parametrize("vector", TOKENS["vectors"], ids=lambda vector: vector["id"])
def test_the_product_judges_every_token(vector: Any) -> None:
    verifier = Verifier([bytes_of(TOKENS["authority"]["certificate"])], TOKENS["farm"])
    issuer = TOKENS["issuers"][vector["issuer"]]
    code, claims = ErrorCode.NORMAL, None
    try:
        claims = verifier.verify(
            bytes_of(vector["token"]),
            bytes_of(vector.get("certificate", issuer["certificate"])),
            device_id=bytes_of(vector["device_id"]),
            product=vector["product"],
            product_version=vector["product_version"],
            now=vector["now"],
        )
    except LicenseError as error:
        code = error.code
    assert code.name == vector["code"]
    if claims is not None:
        assert list(claims.__struct_fields__) == list(vector["claims"])
        values = [getattr(claims, name) for name in claims.__struct_fields__]
        assert values == flat(vector["claims"])


@pytest.mark.parametrize("vector", ENDORSEMENTS["vectors"], ids=lambda vector: vector["id"])
def test_the_product_judges_every_endorsement(vector: Any) -> None:
    authority, now = bytes_of(ENDORSEMENTS["authority"]), ENDORSEMENTS["now"]
    endorsement, by = bytes_of(vector["endorsement"]), bytes_of(vector["by"])
    assert is_endorsed(authority, endorsement, by, now) == vector["counts"]


@pytest.mark.parametrize("vector", PROOFS["vectors"], ids=lambda vector: vector["id"])
def test_the_product_judges_every_device_proof(vector: Any) -> None:
    key = identity.DeviceKey(bytes_of(PROOFS["seed"]))
    shown = [bytes_of(vector[name]) for name in ("signature", "nonce", "server_certificate")]
    code = ErrorCode.NORMAL
    try:
        device_id = identity.verify_device_proof(bytes_of(PROOFS["public_key"]), *shown)
    except LicenseError as error:
        code = error.code
    else:
        assert device_id == bytes_of(PROOFS["device_id"])
        assert key.prove(*shown[1:]) == shown[0]
    assert code.name == vector["code"]


@pytest.mark.parametrize("vector", USER_PROOFS["derivations"], ids=lambda vector: vector["id"])
def test_the_product_derives_every_key(vector: Any) -> None:
    salt, tag = bytes_of(vector["salt"]), bytes_of(vector["tag"])
    cost = Cost(vector["memory_kib"], vector["passes"], vector["lanes"])
    assert asyncio.run(argon2id(bytes_of(vector["password"]), salt, cost)) == tag
    key = key_of_tag(vector["farm"], vector["user_name"], tag)
    assert key.private_bytes_raw() == bytes_of(vector["seed"])
    assert key.public_key().public_bytes_raw() == bytes_of(vector["public_key"])


@pytest.mark.parametrize("vector", USER_PROOFS["vectors"], ids=lambda vector: vector["id"])
def test_the_product_judges_every_user_proof(vector: Any) -> None:
    values = dict(zip(vector["values"], flat(vector["values"]), strict=True))
    statement = Statement(
        **{name: values[name] for name in values if name in Statement.__struct_fields__},
        cost=Cost(values["memory_kib"], values["passes"], values["lanes"]),
        asked=Asked(*(values[name] for name in Asked.__struct_fields__)),
    )
    assert statement.signed_bytes() == bytes_of(vector["signed"])
    public_key, signature = bytes_of(vector["public_key"]), bytes_of(vector["signature"])
    assert is_signed(public_key, statement, signature) is (vector["code"] == "NORMAL")


@pytest.mark.parametrize("vector", SSH["vectors"], ids=lambda vector: vector["id"])
def test_the_product_judges_every_ssh_signature(vector: Any) -> None:
    key = ssh_keys.read(vector["line"])
    assert key.fingerprint == bytes_of(vector["fingerprint"])
    signed = bytes_of(SSH["message"]), vector["algorithm"], bytes_of(vector["signature"])
    assert key.is_signed(*signed) is (vector["code"] == "NORMAL")


@pytest.mark.parametrize("vector", SSH["lines"], ids=lambda vector: vector["id"])
def test_the_product_takes_the_ssh_keys_that_it_should(vector: Any) -> None:
    if vector["is_taken"]:
        assert ssh_keys.read(vector["line"]).kind == "ssh-ed25519"
        return
    with pytest.raises(SshKeyError):
        ssh_keys.read(vector["line"])


@pytest.mark.parametrize("vector", DENY_LISTS["vectors"], ids=lambda vector: vector["id"])
def test_the_product_judges_every_deny_list(vector: Any) -> None:
    authority = bytes_of(DENY_LISTS["signers"]["authority"]["certificate"])
    held = [bytes_of(DENY_LISTS[name]) for name in ("held_certificates", "held_devices")]
    lists = DenyLists(DENY_LISTS["farm"], [authority], held)
    code = ErrorCode.NORMAL
    try:
        lists.take(bytes_of(vector["signed"]), DENY_LISTS["now"])
    except DenyListError as error:
        code = error.code
    assert code.name == vector["code"]


def test_the_product_answers_the_queries_that_it_should() -> None:
    server = DISCOVERY["server"]
    for vector in [*DISCOVERY["queries"], *DISCOVERY["ignored_queries"]]:
        answered = discovery.answer(
            bytes_of(vector["datagram"]),
            farm=server["farm"],
            name=server["name"],
            port=server["port"],
            scopes=[(Scope(scope), name) for scope, name in server["scopes"]],
            instance=bytes_of(server["instance"]),
        )
        expected = None if vector["answer"] is None else bytes_of(vector["answer"])
        assert answered == expected, vector["id"]
    for vector in DISCOVERY["ignored_queries"]:
        assert discovery.decode_query(bytes_of(vector["datagram"])) is None, vector["id"]


def test_the_product_hears_the_answers_that_it_should() -> None:
    for vector in DISCOVERY["answers"]:
        heard = discovery.decode_answer(bytes_of(vector["datagram"]))
        assert heard is not None
        values = [getattr(heard, name) for name in DISCOVERY["answer_fields"]]
        assert values == flat(vector["values"]), vector["id"]
    for vector in DISCOVERY["ignored_answers"]:
        assert discovery.decode_answer(bytes_of(vector["datagram"])) is None, vector["id"]


# --- another msgpack library ----------------------------------------------------------------------


def body_of(frame: bytes) -> bytes:
    """The frame read as what it is, an ext object; its header has one form alone."""
    ext = msgpack.unpackb(frame, max_ext_len=limits.FRAME_BYTES)
    assert (ext.code, frame[0]) == (codec.MESSAGE_KIND, codec.EXT32)
    assert frame == frame[:1] + len(ext.data).to_bytes(4, "big") + b"\0" + ext.data
    return bytes(ext.data)


@each_message
def test_plain_msgpack_reads_and_writes_the_same(written: Any) -> None:
    for vector in written["valid"]:
        body = body_of(bytes_of(vector["frame"]))
        read = msgpack.unpackb(body)
        meant = [written["number"], *flat(vector["values"])]
        assert known_part(read, meant) == meant, vector["id"]
        assert msgpack.packb(read) == body, vector["id"]
        assert (msgpack.packb(meant) == body) is vector["canonical"], vector["id"]
        assert list(vector["values"]) == written["fields"], vector["id"]


def test_plain_msgpack_splits_the_streams() -> None:
    for vector in FRAMES["session"]:
        ext = msgpack.unpackb(bytes_of(vector["frame"]))
        assert (ext.code, ext.data) == (codec.SESSION_KIND, bytes_of(vector["bytes"]))
    for vector in FRAMES["streams"]:
        unpacker = msgpack.Unpacker()
        unpacker.feed(bytes_of(vector["stream"]))
        assert [ext.code for ext in unpacker] == vector["kinds"]


def test_plain_msgpack_reads_tokens_and_datagrams() -> None:
    for vector in TOKENS["vectors"]:
        if vector["code"] == "NORMAL":
            encoded, signature = msgpack.unpackb(bytes_of(vector["token"]))
            meant = flat(vector["claims"])
            assert known_part(msgpack.unpackb(encoded), meant) == meant, vector["id"]
            assert len(signature) == 64
    for vector in [*DISCOVERY["queries"], *DISCOVERY["answers"]]:
        datagram = bytes_of(vector["datagram"])
        assert msgpack.unpackb(datagram) == flat(vector["values"]), vector["id"]
        assert msgpack.packb(flat(vector["values"])) == datagram, vector["id"]


@pytest.mark.parametrize("vector", STATEMENTS["accounts"], ids=lambda each: each["id"])
def test_the_product_judges_every_account_statement(vector: Any) -> None:
    statement = AccountStatement(
        account=vector["account"].encode(),
        signer=bytes_of(vector["signer"]),
        signature=bytes_of(vector["signature"]),
    )
    authority = bytes_of(STATEMENTS["signers"]["authority"]["certificate"])
    farm, now = STATEMENTS["farm"], STATEMENTS["now"]
    try:
        stated = stated_account(farm, statement, (authority,), now)
    except StatementRefused as refused:
        assert refused.code.name == vector["code"]
    else:
        assert vector["code"] == "NORMAL"
        assert stated == msgspec.json.decode(vector["account"], type=Account)


@pytest.mark.parametrize("vector", STATEMENTS["passwords"], ids=lambda each: each["id"])
def test_the_product_judges_every_password_statement(vector: Any) -> None:
    given = {name: vector[name] for name in PasswordStatement.__struct_fields__ if name in vector}
    for name in ("public_key", "salt", "signature"):
        given[name] = bytes_of(given[name])
    known = msgspec.json.decode(STATEMENTS["known"], type=Account)
    account = known if vector["user_name"] == known.name else None
    try:
        changed = with_password(
            STATEMENTS["farm"], account, PasswordStatement(**given), STATEMENTS["now"]
        )
    except StatementRefused as refused:
        assert refused.code.name == vector["code"]
    else:
        assert vector["code"] == "NORMAL"
        assert changed is not None
        assert changed.password is not None
        assert changed.password.public_key == given["public_key"]
