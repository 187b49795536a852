"""The datagrams that find license servers, and the search that sends them.

An answer is only a candidate: nothing counts before mutual TLS, with the role in the certificate.
A query is padded to DATAGRAM_BYTES and no answer is longer, so a forged source address gains
nothing from the servers that answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from tsproto import limits
from tsproto.messages import Id16, Name, OptionalId16, Port

BIN16_HEADER_BYTES = 3


class Scope(IntEnum):
    """Kinds of scopes in which license servers are searched, in this order
    ("How Terminal Services Licensing Works": domain, workgroup, or site)."""

    WORKGROUP = 1
    DOMAIN = 2
    SITE = 3


class Query(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """Which license servers of this farm are in this scope? Exactly DATAGRAM_BYTES long.

    `instance` is the asker's own id, so that a license server knows its own broadcast.
    """

    magic: Literal["tsfarm"] = "tsfarm"  # tells the datagram from those of other protocols
    version: Literal[1] = 1  # of the datagrams
    kind: Literal[1] = 1  # a query
    farm: Name  # only license servers of this farm answer
    scope: Scope  # which kind of scope is searched
    scope_name: Name  # name of the workgroup, domain or site, in lower case
    nonce: Id16  # random, of this query alone
    # an asking license server's own id of this run; empty from a terminal server
    instance: OptionalId16 = b""
    # zero bytes, as many as make the datagram DATAGRAM_BYTES long
    padding: Annotated[bytes, Meta(max_length=limits.DATAGRAM_BYTES)] = b""


class Answer(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """A license server listens on this port of the address that this came from."""

    magic: Literal["tsfarm"] = "tsfarm"  # tells the datagram from those of other protocols
    version: Literal[1] = 1  # of the datagrams
    kind: Literal[2] = 2  # an answer
    farm: Name  # the query's
    name: Name  # the license server, as in its certificate
    port: Port  # TCP port that it listens on, at the address that the answer came from
    nonce: Id16  # the query's


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """Where a license server may be. `found` is `list`, `workgroup`, `domain` or `site`; `name`
    is the name in its answer, which its certificate must carry."""

    name: str
    host: str
    port: int
    found: str


def scopes_of(workgroup: str, domain: str, site: str) -> tuple[tuple[Scope, str], ...]:
    """The scopes whose names are not empty, in the order of searching. Their names do not tell
    case, so they are in lower case."""
    names = ((Scope.WORKGROUP, workgroup), (Scope.DOMAIN, domain), (Scope.SITE, site))
    return tuple((scope, name.lower()) for scope, name in names if name)


_Datagram = TypeVar("_Datagram", Query, Answer)
_encoder = msgspec.msgpack.Encoder()
_query_decoder = msgspec.msgpack.Decoder(Query)
_answer_decoder = msgspec.msgpack.Decoder(Answer)


def encode_query(query: Query) -> bytes:
    """The query, padded to DATAGRAM_BYTES."""
    # The other fields leave room for more than 255 bytes, so the padding's length always takes two
    # bytes.
    bare = len(_encoder.encode(msgspec.structs.replace(query, padding=b""))) - 2
    padding = bytes(limits.DATAGRAM_BYTES - bare - BIN16_HEADER_BYTES)
    return _encoder.encode(msgspec.structs.replace(query, padding=padding))


def decode_query(datagram: bytes) -> Query | None:
    """None for a datagram that is no query, or not exactly DATAGRAM_BYTES long."""
    is_padded = len(datagram) == limits.DATAGRAM_BYTES
    return _decode(_query_decoder, datagram) if is_padded else None


def decode_answer(datagram: bytes) -> Answer | None:
    """None for a datagram that is no answer."""
    is_short = len(datagram) <= limits.DATAGRAM_BYTES
    return _decode(_answer_decoder, datagram) if is_short else None


def _decode(decoder: msgspec.msgpack.Decoder[_Datagram], datagram: bytes) -> _Datagram | None:
    try:
        return decoder.decode(datagram)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def answer(
    datagram: bytes,
    *,
    farm: str,
    name: str,
    port: int,
    scopes: Sequence[tuple[Scope, str]],
    instance: bytes,
) -> bytes | None:
    """A license server's answer to a datagram, or None when that is no query, is its own (by
    `instance`), or asks for another farm or a scope that this server is not in."""
    query = decode_query(datagram)
    if query is None:
        return None
    is_own = query.instance != b"" and query.instance == instance
    is_meant = query.farm == farm and (query.scope, query.scope_name) in scopes
    if is_own or not is_meant:
        return None
    return _encoder.encode(Answer(farm=farm, name=name, port=port, nonce=query.nonce))


class Search:
    """Asks one scope after the other, collecting each one's answers for `window_seconds`.

    It ends after the first scope in which anybody answered, unless `every_scope`. A server that
    answers in several scopes is found in the first. At most DISCOVERY_ANSWERS_MAX are kept, and
    DISCOVERY_ANSWERS_PER_ADDRESS_MAX of one address; a server that `is_known` is always kept, so
    forged answers cannot crowd it out.
    """

    def __init__(
        self,
        farm: str,
        scopes: Sequence[tuple[Scope, str]],
        *,
        window_seconds: float,
        every_scope: bool = False,
        instance: bytes = b"",
        is_known: Callable[[Candidate], bool] = lambda candidate: False,
    ) -> None:
        self._farm = farm
        self._scopes = tuple(scopes)
        self._window_seconds = window_seconds
        self._every_scope = every_scope
        self._instance = instance
        self._is_known = is_known
        self._found: dict[tuple[str, int, str], Candidate] = {}
        self._asked = 0
        self._nonce = b""
        self._deadline: float | None = None

    @property
    def searching(self) -> bool:
        return self._deadline is not None

    @property
    def found(self) -> list[Candidate]:
        """The candidates of this search, or of the last one, in the order of their answers."""
        return list(self._found.values())

    def start(self, now: float, nonce: bytes) -> bytes | None:
        """Begin anew: the query to broadcast, or None when there is no scope to search.

        A nonce is 16 random bytes, fresh for each query.
        """
        self._found = {}
        self._asked = 0
        return self._ask_next(now, nonce)

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> None:
        """Keep the answer to the running query, as (`host`, port that the answer claims).

        An answer counts until `on_deadline`, so a process that was held up misses none: neither
        `now` nor the datagram's source `port` decides anything.
        """
        heard = decode_answer(datagram)
        if heard is None or not self.searching:
            return
        if heard.nonce != self._nonce or heard.farm != self._farm:
            return
        scope, _ = self._scopes[self._asked - 1]
        candidate = Candidate(heard.name, host, heard.port, scope.name.lower())
        if self._is_known(candidate) or self._has_room(host):
            self._found.setdefault((host, heard.port, heard.name), candidate)

    def _has_room(self, host: str) -> bool:
        unknown = [found.host for found in self._found.values() if not self._is_known(found)]
        is_full = len(unknown) >= limits.DISCOVERY_ANSWERS_MAX
        return not is_full and unknown.count(host) < limits.DISCOVERY_ANSWERS_PER_ADDRESS_MAX

    def next_deadline(self) -> float | None:
        return self._deadline

    def on_deadline(self, now: float, nonce: bytes) -> bytes | None:
        """The next scope's query, or None: not yet due, or finished (then not `searching`)."""
        if self._deadline is None or now < self._deadline:
            return None
        if self._found and not self._every_scope:
            self._deadline = None
            return None
        return self._ask_next(now, nonce)

    def next_scope(self, now: float, nonce: bytes) -> bytes | None:
        """Forget the candidates, none of which could be used (an answer may be forged), and search
        the next scope: its query, or None when every scope was asked."""
        self._found = {}
        return self._ask_next(now, nonce)

    def _ask_next(self, now: float, nonce: bytes) -> bytes | None:
        if self._asked == len(self._scopes):
            self._deadline = None
            return None
        scope, scope_name = self._scopes[self._asked]
        self._asked += 1
        self._nonce = nonce
        self._deadline = now + self._window_seconds
        return encode_query(
            Query(
                farm=self._farm,
                scope=scope,
                scope_name=scope_name,
                nonce=nonce,
                instance=self._instance,
            )
        )


class AnswerLimit:
    """Lets a license server send DISCOVERY_ANSWERS_PER_SECOND answers in each second, and
    DISCOVERY_ANSWERS_PER_SOURCE_PER_SECOND of them to one source address.

    It counts only answers that it lets through, so it remembers no more sources than those.
    """

    def __init__(self) -> None:
        self._second = 0
        self._sent: Counter[str] = Counter()

    def take(self, source: str, now: float) -> bool:
        """Whether one more answer may go to `source` at `now`."""
        if int(now) != self._second:
            self._second = int(now)
            self._sent.clear()
        is_full = self._sent.total() >= limits.DISCOVERY_ANSWERS_PER_SECOND
        if is_full or self._sent[source] >= limits.DISCOVERY_ANSWERS_PER_SOURCE_PER_SECOND:
            return False
        self._sent[source] += 1
        return True
