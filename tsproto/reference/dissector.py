"""tsfarm.lua, a dissector for Wireshark and tshark, from the table of messages.

The table gives messages, fields and names of numbers; dissector.lua.in holds the code that reads
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Literal, get_args, get_origin

import msgspec

from tsproto import codec, discovery, limits, messages
from tsproto.messages import TABLE, Hello, Welcome, number_of
from tsproto.reference.shapes import ENUMERATIONS, ROWS, meaning, parts

TEMPLATE = Path(__file__).with_name("dissector.lua.in")
PORTS = (limits.TERMINAL_PORT, limits.LICENSE_PORT, limits.DIRECTORY_PORT)
MAGIC = discovery.Query.__struct_defaults__[0]
CONSTRUCTORS: dict[object, str] = {str: "text", bytes: "bytes", bool: "boolean", int: "integer"}


def render() -> str:
    """The whole file; the same text for the same table, in every process."""
    template = TEMPLATE.read_text(encoding="utf-8")
    constants, table = "\n".join(_constants()), "\n".join(_table())
    return template.replace("@CONSTANTS@", constants).replace("@TABLE@", table)


def _constants() -> Iterator[str]:
    numbers = {
        "HEADER_BYTES": codec.HEADER.size,
        "EXT32": f"0x{codec.EXT32:02x}",
        "FRAME_BYTES": limits.FRAME_BYTES,
        "MESSAGE_KIND": codec.MESSAGE_KIND,
        "SESSION_KIND": codec.SESSION_KIND,
        "DISCOVERY_PORT": limits.DISCOVERY_PORT,
        "HELLO": number_of(Hello),
        "WELCOME": number_of(Welcome),
    }
    yield from (f"local {name} = {number}" for name, number in numbers.items())
    yield f"local PORTS = {{ {', '.join(map(str, PORTS))} }}"
    yield f"local MAGIC = {_text(MAGIC)}"


def _table() -> Iterator[str]:
    yield "local enum, row, datagrams, messages, message_names = {}, {}, {}, {}, {}\n"
    for enumeration in ENUMERATIONS:
        yield f"enum.{enumeration.__name__} = {{"
        yield from (f"  [{member.value}] = {_text(member.name)}," for member in enumeration)
        yield "}"
    for struct in ROWS:
        yield from _struct(f"row.{struct.__name__}", struct)
    for struct in (discovery.Query, discovery.Answer):
        yield from _struct(f"datagrams.{struct.__name__}", struct)
    for number, message in TABLE.items():
        yield f"message_names[{number}] = {_text(message.__name__)}"
        yield f"messages[{number}] = {{ name = message_names[{number}] }}"
        yield from _struct(f"messages[{number}].places", message)


def _struct(target: str, struct: type[msgspec.Struct]) -> Iterator[str]:
    yield f"{target} = {{"
    for field in msgspec.structs.fields(struct):
        name = f"{_filter(struct)}.{field.name}"
        is_shared = field.name == "request_id"
        place = _place(name, field.name, field.type, meaning(struct, field))
        yield f"  {'request_id' if is_shared else place},"
    yield "}"


def _place(name: str, label: str, hint: object, about: str = "") -> str:
    """The call that makes a place, such as `text("hello.name", "name", "…")`."""
    kind, _ = parts(hint)
    if get_origin(kind) is Literal:
        kind = type(get_args(kind)[0])
    first = f"{_text(name)}, {_text(label.replace('_', ' '))}"
    if get_origin(kind) is list:
        item = _place(f"{name}.item", "item", get_args(kind)[0])
        return f"list_of({first}, {item})"
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return f"enumeration({first}, enum.{kind.__name__})"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"row_of({first}, row.{kind.__name__})"
    constructor = "moment" if hint is messages.Seconds else CONSTRUCTORS[kind]
    return f"{constructor}({first}{', ' + _text(about) if about else ''})"


def _filter(struct: type[msgspec.Struct]) -> str:
    """`LogonRequest` is `logon_request` in a display filter."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", struct.__name__).lower()


def _text(value: str) -> str:
    """Lua reads the escapes of JSON, but for those of characters beyond ASCII."""
    assert value.isascii(), f"{value!r} is to stand in a Lua file"
    return json.dumps(value)
