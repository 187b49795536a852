"""Prints tsfarm.lua, a dissector for Wireshark and tshark, from the table of messages.

    python -m tsproto.dissector            prints it
    python -m tsproto.dissector --write    writes it beside this module

The table gives messages, fields and names of numbers; what reads them stands below, in Lua.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, get_args, get_origin

import msgspec

from tsproto import codec, discovery, limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import TABLE, Goodbye, Hello, Welcome

TSFARM_LUA = Path(__file__).with_name("tsfarm.lua")
PORTS = (limits.TERMINAL_PORT, limits.LICENSE_PORT, limits.DIRECTORY_PORT)
CONSTRUCTORS: dict[object, str] = {
    str: "text",
    bytes: "bytes",
    bool: "boolean",
    int: "integer",
    messages.Seconds: "moment",
}
ENUMERATIONS = [
    found
    for found in (*vars(messages).values(), discovery.Scope)
    if isinstance(found, type) and issubclass(found, IntEnum) and found is not IntEnum
]
ROWS = [
    found
    for found in vars(messages).values()
    if isinstance(found, type)
    and issubclass(found, msgspec.Struct)
    and found.__struct_config__.array_like
    and not issubclass(found, messages.Message)
]

PREFACE = """\
-- The tsfarm protocol in Wireshark and tshark. Written by `python -m tsproto.dissector --write`
-- from the table in tsproto/messages.py: change it there.
--
--     tshark -X lua_script:tsfarm.lua -r capture.pcapng -O tsfarm
--
-- or put it into the folder of personal Lua plugins (Help, About, Folders). On ports other than the
-- usual ones a connection is known by its Hello or Welcome; else: -d tcp.port==PORT,tsfarm.
-- What is inside TLS shows with a file of session keys.

local HEADER_BYTES = {header_bytes}
local EXT32 = {ext32}
local FRAME_BYTES = {frame_bytes}
local MESSAGE_KIND = {message_kind}
local SESSION_KIND = {session_kind}
local OPENING = {{ [{hello}] = true, [{welcome}] = true }} -- Hello, Welcome
local GOODBYE = {goodbye}
local PORTS = {{ {ports} }}
local DISCOVERY_PORT = {discovery_port}
"""

# A place is where a value stands: how it is written, its label, its field for filters.
PLACES = """
-- --- places: where a value stands, how it is written, its label and its field for filters ---------

local tsfarm = Proto("tsfarm", "tsfarm")
local fields = {}

local function place(kind, make, name, label, description, ...)
  local field = make("tsfarm." .. name, label, ...)
  fields[#fields + 1] = field
  return { kind = kind, label = label, field = field }
end

local function text(name, label, description)
  return place("text", ProtoField.string, name, label, nil, base.UNICODE, description)
end

local function bytes(name, label, description)
  return place("bytes", ProtoField.bytes, name, label, nil, base.NONE, description)
end

local function boolean(name, label, description)
  return place("boolean", ProtoField.bool, name, label, nil, base.NONE, nil, nil, description)
end

local function integer(name, label, description)
  return place("integer", ProtoField.uint64, name, label, nil, base.DEC, nil, nil, description)
end

local function moment(name, label, description)
  local made = integer(name, label, description)
  made.is_moment = true
  return made
end

local function enumeration(name, label, names, description)
  local made =
    place("integer", ProtoField.uint32, name, label, nil, base.DEC, names, nil, description)
  made.names = names
  return made
end

local function row_of(name, label, places)
  local made = place("array", ProtoField.none, name, label, nil)
  made.places = places
  return made
end

local function list_of(name, label, item)
  local made = place("array", ProtoField.none, name, label, nil)
  made.item = item
  return made
end
"""

READING = """
-- --- msgpack --------------------------------------------------------------------------------------

local FORMS = {
  [0xc4] = { "bytes", 1 }, [0xc5] = { "bytes", 2 }, [0xc6] = { "bytes", 4 },
  [0xcc] = { "integer", 1 }, [0xcd] = { "integer", 2 }, [0xce] = { "integer", 4 },
  [0xcf] = { "integer", 8 },
  [0xd9] = { "text", 1 }, [0xda] = { "text", 2 }, [0xdb] = { "text", 4 },
  [0xdc] = { "array", 2 }, [0xdd] = { "array", 4 },
}

-- What stands at `at`: its kind, where its content begins, and the content's bytes; of an array the
-- number of things in it. Nil for what no field is written as, or what is cut off.
local function head(tvb, at)
  local left = tvb:len() - at
  if left < 1 then return nil end
  local first = tvb(at, 1):uint()
  if first < 0x80 then return "integer", at, 1 end
  if first >= 0x90 and first < 0xa0 then return "array", at + 1, first - 0x90 end
  local kind, start, length
  if first >= 0xa0 and first < 0xc0 then
    kind, start, length = "text", at + 1, first - 0xa0
  elseif first == 0xc2 or first == 0xc3 then
    return "boolean", at, 1
  else
    local form = FORMS[first]
    if not form or left < 1 + form[2] then return nil end
    kind, start = form[1], at + 1 + form[2]
    if kind == "integer" then return kind, at + 1, form[2] end
    length = tvb(at + 1, form[2]):uint()
  end
  if kind ~= "array" and start + length > tvb:len() then return nil end
  return kind, start, length
end

local show_array

-- Add the value at `at` to the tree. Gives where the next begins, or nil for a value that does not
-- belong in this place.
local function show(place, tree, tvb, at)
  local kind, start, length = head(tvb, at)
  if kind ~= place.kind then return nil end
  if kind == "array" then return show_array(place, tree, tvb, at, start, length) end
  local range = tvb(start, length)
  if kind == "boolean" then
    tree:add(place.field, range, range:uint() == 0xc3)
  elseif kind == "text" then
    tree:add(place.field, length > 0 and range or tvb(at, 1), range:string(ENC_UTF_8))
  elseif place.names then
    if length > 4 then return nil end
    tree:add(place.field, range)
  else
    local item = tree:add(place.field, range)
    local seconds = place.is_moment and tonumber(tostring(range:uint64())) or 0
    if seconds > 0 then item:append_text(os.date(" (!%Y-%m-%d %H:%M:%S UTC)", seconds)) end
  end
  return start + length
end

-- Show values at their places. Fields may be missing at the end; what follows is of a newer peer.
local function show_places(places, tree, tvb, at, count)
  for index = 1, math.min(#places, count) do
    at = show(places[index], tree, tvb, at)
    if not at then return nil, places[index].label end
  end
  return at
end

local function skip_newer(tree, tvb, at, newer)
  for _ = 1, newer do
    local kind, start, length = head(tvb, at)
    if not kind then return nil end
    at = kind == "array" and skip_newer(nil, tvb, start, length) or start + length
  end
  return at
end

show_array = function(place, tree, tvb, at, start, count)
  local branch = tree:add(place.field, tvb(at))
  local next_at = start
  if place.places then
    next_at = show_places(place.places, branch, tvb, start, count)
    next_at = next_at and skip_newer(branch, tvb, next_at, count - #place.places)
  else
    branch:append_text(": " .. count)
    for _ = 1, count do
      next_at = next_at and show(place.item, branch, tvb, next_at)
      if not next_at then return nil end
    end
  end
  if next_at then branch:set_len(next_at - at) end
  return next_at
end
"""

FRAMES = """
-- --- frames ---------------------------------------------------------------------------------------

local frame_length = integer("frame.length", "length of the body")
local frame_kind = enumeration("frame.kind", "kind", {
  [MESSAGE_KIND] = "message", [SESSION_KIND] = "session bytes",
})
local message_number = enumeration("message", "message", message_names)
local request_id = integer("request_id", "request id")
local session_bytes = bytes("session_bytes", "session bytes")

local malformed = ProtoExpert.new(
  "tsfarm.malformed", "not of this protocol", expert.group.MALFORMED, expert.severity.ERROR
)
tsfarm.fields = fields
tsfarm.experts = { malformed }

local shown = {} -- what the info column says of the frames of one packet

local function complain(tree, tvb, why)
  tree:add_tvb_expert_info(malformed, tvb, why)
  shown[#shown + 1] = "malformed: " .. why
end

local function show_message(tree, tvb)
  local kind, at, count = head(tvb, HEADER_BYTES)
  if kind ~= "array" or count < 1 then return complain(tree, tvb(), "no array in the frame") end
  local number_kind, number_at, number_bytes = head(tvb, at)
  if number_kind ~= "integer" or number_bytes > 4 then
    return complain(tree, tvb(), "no message number")
  end
  local number = tvb(number_at, number_bytes):uint()
  local found = message[number]
  if not found then return complain(tree, tvb(), "no message has the number " .. number) end
  tree:append_text(": " .. found.name)
  shown[#shown + 1] = found.name
  tree:add(message_number.field, tvb(number_at, number_bytes))
  local wrong
  at, wrong = show_places(found.places, tree, tvb, number_at + number_bytes, count - 1)
  if not at then return complain(tree, tvb(), found.name .. ": " .. wrong) end
  if number == GOODBYE and count > 2 then
    local _, code_at, code_bytes = head(tvb, select(2, head(tvb, number_at + number_bytes)) + 1)
    local code = tvb(code_at, code_bytes):uint()
    shown[#shown] = found.name .. " " .. (enum.ErrorCode[code] or code)
  end
  if at < tvb:len() then
    tree:add(tvb(at), "fields that are not known here: " .. tvb:len() - at .. " bytes")
  end
end

local function show_frame(tvb, pinfo, tree)
  pinfo.cols.protocol = "tsfarm"
  local branch = tree:add(tsfarm, tvb(), "tsfarm frame")
  if tvb:len() < HEADER_BYTES or tvb(0, 1):uint() ~= EXT32 then
    complain(branch, tvb(), "no frame")
  else
    local kind = tvb(5, 1):uint()
    branch:add(frame_length.field, tvb(1, 4))
    branch:add(frame_kind.field, tvb(5, 1))
    if kind == MESSAGE_KIND then
      show_message(branch, tvb)
    elseif kind == SESSION_KIND then
      local count = tvb:len() - HEADER_BYTES
      branch:append_text(": session bytes, " .. count)
      shown[#shown + 1] = count .. " session bytes"
      if count > 0 then branch:add(session_bytes.field, tvb(HEADER_BYTES)) end
    else
      complain(branch, tvb(), "no frame has this kind")
    end
  end
  pinfo.cols.info = table.concat(shown, ", ")
  return tvb:len()
end

-- What is no frame is shown as far as it goes: the connection ends there.
local function frame_bytes(tvb, pinfo, offset)
  local length = tvb(offset + 1, 4):uint()
  if tvb(offset, 1):uint() ~= EXT32 or length > FRAME_BYTES then return tvb:len() - offset end
  return HEADER_BYTES + length
end

function tsfarm.dissector(tvb, pinfo, tree)
  shown = {}
  dissect_tcp_pdus(tvb, tree, HEADER_BYTES, frame_bytes, show_frame)
  return tvb:len()
end

local function is_opening(tvb, pinfo, tree)
  if tvb:len() < HEADER_BYTES + 2 or tvb(0, 1):uint() ~= EXT32 then return false end
  if tvb(1, 4):uint() > FRAME_BYTES or tvb(5, 1):uint() ~= MESSAGE_KIND then return false end
  local kind, at = head(tvb, HEADER_BYTES)
  if kind ~= "array" or at >= tvb:len() or not OPENING[tvb(at, 1):uint()] then return false end
  tsfarm.dissector(tvb, pinfo, tree)
  pinfo.conversation = tsfarm
  return true
end

tsfarm:register_heuristic("tcp", is_opening)
tsfarm:register_heuristic("tls", is_opening)
for _, port in ipairs(PORTS) do
  DissectorTable.get("tcp.port"):add(port, tsfarm)
  DissectorTable.get("tls.port"):add(port, tsfarm)
end
"""

DISCOVERY = """
-- --- discovery ------------------------------------------------------------------------------------

local discovery = Proto("tsfarm_discovery", "tsfarm discovery")
discovery.fields = discovery_fields

function discovery.dissector(tvb, pinfo, tree)
  local kind, at, count = head(tvb, 0)
  if kind ~= "array" then return 0 end
  local query_or_answer = count == #datagram[1].places and datagram[1] or datagram[2]
  pinfo.cols.protocol = "tsfarm"
  pinfo.cols.info = query_or_answer.name
  local branch = tree:add(discovery, tvb(), "tsfarm discovery: " .. query_or_answer.name)
  if not show_places(query_or_answer.places, branch, tvb, at, count) then
    branch:add_tvb_expert_info(malformed, tvb(), "no datagram of discovery")
  end
  return tvb:len()
end

DissectorTable.get("udp.port"):add(DISCOVERY_PORT, discovery)
"""


def render() -> str:
    """The whole file; the same text for the same table, in every process."""
    preface = PREFACE.format(
        header_bytes=codec.HEADER.size,
        ext32=f"0x{codec.EXT32:02x}",
        frame_bytes=limits.FRAME_BYTES,
        message_kind=codec.MESSAGE_KIND,
        session_kind=codec.SESSION_KIND,
        hello=Hello.__struct_config__.tag,
        welcome=Welcome.__struct_config__.tag,
        goodbye=Goodbye.__struct_config__.tag,
        ports=", ".join(map(str, PORTS)),
        discovery_port=limits.DISCOVERY_PORT,
    )
    return preface + PLACES + "\n".join(_table()) + READING + FRAMES + DISCOVERY
