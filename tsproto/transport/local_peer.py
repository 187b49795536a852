"""The user at the other end of a connection on this machine, as the kernel knows it.

Plain TCP proves nobody, and any local user can reach a loopback address. Linux tells the owner of
each socket by its addresses (sock_diag(7)); a lookup takes some 50 µs.
"""

from __future__ import annotations

import os
import socket
import struct

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 4, 20, 1
_ESTABLISHED = 1
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBxI")  # inet_diag_req_v2: family, protocol, extensions, states
_COOKIE = struct.Struct("=III")  # of inet_diag_sockid: interface 0, and no cookie
_STATE_AT, _UID_AT = _HEADER.size + 1, _HEADER.size + 64  # in inet_diag_msg
_NO_COOKIE = 2**32 - 1


def stranger(accepted: socket.socket) -> str:
    """Says that the other end is neither this process's user nor root; empty when it is."""
    uid = uid_of_peer(accepted)
    if uid in (0, os.geteuid()):
        return ""
    who = "the kernel does not say who you are" if uid is None else f"you are user {uid}"
    return f"without TLS only the user who runs this farm may connect, and {who}"


def uid_of_peer(accepted: socket.socket) -> int | None:
    """None when the other end is closed already, or on another machine."""
    wanted = _REQUEST.pack(accepted.family, socket.IPPROTO_TCP, 0, 1 << _ESTABLISHED)
    try:
        wanted += _socket_id(accepted)
        size = _HEADER.size + len(wanted)
        header = _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as asked:
            asked.send(header + wanted)
            answer = asked.recv(4096)
    except OSError:
        return None
    _, kind, *_ = _HEADER.unpack_from(answer)
    # The kernel calls a socket root's once its process has closed it.
    if kind != _SOCK_DIAG_BY_FAMILY or answer[_STATE_AT] != _ESTABLISHED:
        return None
    uid: int = struct.unpack_from("=I", answer, _UID_AT)[0]
    return uid


def _socket_id(accepted: socket.socket) -> bytes:
    """An inet_diag_sockid of the other end: its port and address first."""
    ends = accepted.getpeername(), accepted.getsockname()
    addresses = (socket.inet_pton(accepted.family, end[0]).ljust(16, b"\0") for end in ends)
    ports = struct.pack("!HH", *(end[1] for end in ends))
    return ports + b"".join(addresses) + _COOKIE.pack(0, _NO_COOKIE, _NO_COOKIE)
