"""Discovery: which license servers this terminal server knows, and which of them it has chosen.

A configured list comes first and is taken in its order; without one the scopes are searched by
broadcast and one of all that answered is chosen at random: of those that were known before, if any
of them answered. An answer is a candidate: it counts once it was dialled, for that proves
certificate and role. When none of a scope is reached the next scope is asked, and at last the
servers that were known before and did not answer. The chosen server is verified every
`verify_seconds`, a search that found none is repeated after `retry_seconds`, and a connection that
needs a license server when all known ones fail begins a search at once.
A terminal server that knows none dials the first that answers at once, and uses it until one is
chosen: devices wait for the first answer, not for the whole time in which answers may come.
("How Terminal Services Licensing Works"; KB 301932; JSI tip 8634)
"""

from __future__ import annotations

from enum import Enum

import msgspec

from daemons import events
from daemons.discovery import Finder, endpoint_of
from daemons.effects import Effect, Endpoint, Failed, Peer, Randomness
from daemons.procedures import Procedure, Procedures, Promise, outcome_of
from daemons.settings import Discovery
from tsproto import limits
from tsproto.discovery import Candidate, Search, scopes_of
from tsproto.messages import LicenseServerRow, Role

# All candidates are dialled together; one that is silent for so long is unreachable.
REACH_SECONDS = limits.DIAL_SECONDS + limits.OPENING_SECONDS


class KnownServer(msgspec.Struct, frozen=True, kw_only=True):
    """A license server that was reached. `name` is its certificate's, `found` as in `Candidate`."""

    endpoint: Endpoint
    name: str
    found: str
    verified_at: int


class _Reach(Enum):
    DIALLED = "dialled"
    REACHED = "reached"
    UNREACHABLE = "unreachable"


class KnownLicenseServers:
    def __init__(
        self, farm: str, discovery: Discovery, *, procedures: Procedures, rng: Randomness
    ) -> None:
        self._procedures = procedures
        self._discovery = discovery
        self._rng = rng
        scopes = scopes_of(discovery.workgroup, discovery.domain, discovery.site)
        self._search = Search(
            farm,
            scopes,
            window_seconds=discovery.window_seconds,
            is_known=lambda candidate: endpoint_of(candidate) in self._known_before,
        )
        self._finder = Finder(procedures.next_question_id, rng)
        self._known: list[KnownServer] = []  # the chosen one first
        self._is_searching = False
        self._first: Candidate | None = None  # dialled before this search's answers were all in
        self._candidates: dict[Endpoint, Candidate] = {}  # of the last search, in order of choice
        self._reach: dict[Endpoint, _Reach] = {}
        self._known_before: dict[Endpoint, Candidate] = {}
        self._untried: dict[Endpoint, Candidate] = {}  # of those, the ones not dialled yet
        self._links: dict[Endpoint, Peer] = {}
        self._searched: Promise[None] = Promise()
        self._due_at: float | None = None  # verify the chosen one, search again, or give up

    def on_start(self, now: float) -> list[Effect]:
        return self.search(now)

    def in_order(self, issuer: str = "") -> list[KnownServer]:
        """The chosen server first, then the others; the `issuer` of the device's token before them
        all: it alone knows the device, another would begin a new temporary license for it."""
        return sorted(self._known, key=lambda known: not issuer or known.name != issuer)

    @property
    def may_find_more(self) -> bool:
        """Only the first server that answered is known yet: the search goes on."""
        return self._is_searching and self._first is not None and bool(self._known)

    def rows(self) -> list[LicenseServerRow]:
        return [
            LicenseServerRow(
                name=known.name,
                address=known.endpoint.host,
                port=known.endpoint.port,
                found=known.found,
                verified_at=known.verified_at,
                chosen=index == 0,
            )
            for index, known in enumerate(self._known)
        ]

    def on_failed(self, endpoint: Endpoint) -> None:
        """A server that gave no answer is asked last from now on."""
        self._known.sort(key=lambda known: known.endpoint == endpoint)

    # --- searching ----------------------------------------------------------------------------

    def wait_for_search(self) -> Procedure[None]:
        """Begin a search unless one is under way, and wait until it ends or brings a first server
        into use."""
        searched = self._searched
        self._procedures.do(*self.search(self._procedures.now))
        yield from outcome_of(searched)

    def search(self, now: float) -> list[Effect]:
        """Begin a search unless one is under way."""
        if self._is_searching:
            return []
        self._is_searching = True
        self._first = None
        self._reach = {}
        self._due_at = None
        if self._known:
            self._known_before = {known.endpoint: _candidate(known) for known in self._known}
        self._untried = dict(self._known_before)
        if self._discovery.servers:
            listed = [Candidate(s.name, s.host, s.port, "list") for s in self._discovery.servers]
            return self._dial(listed, now)
        asked = self._finder.ask(self._search.start, now)
        return [events.LicenseServerSearching(), *asked] if asked else self._dial([], now)

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        self._search.on_datagram(host, port, datagram, now)
        answered = self._search.found if self._search.searching else []
        may_be_first = not self._known and self._first is None
        return self._dial_first(answered[0], now) if answered and may_be_first else []

    def next_deadline(self) -> float | None:
        deadline = self._search.next_deadline()
        return self._due_at if deadline is None else deadline

    def on_deadline(self, now: float) -> list[Effect]:
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return []
        if self._search.searching:
            return self._search_on(now)
        self._due_at = None
        if self._is_searching:
            return self._give_up(now)
        return self._verify(self._known[0], now) if self._known else self.search(now)

    def _search_on(self, now: float) -> list[Effect]:
        asked = self._finder.ask(self._search.on_deadline, now)
        if asked:
            return asked
        candidates = self._shuffled(self._search.found)
        # A forged answer that is dialled must not delay a server that was reached before.
        candidates.sort(key=lambda candidate: endpoint_of(candidate) not in self._known_before)
        return self._dial(candidates, now)

    def _shuffled(self, candidates: list[Candidate]) -> list[Candidate]:
        """Every order is equally likely, so the first that is reached was chosen at random."""
        for last in range(len(candidates) - 1, 0, -1):
            chosen = self._rng.randrange(0, last + 1)
            candidates[last], candidates[chosen] = candidates[chosen], candidates[last]
        return candidates

    def _dial(self, candidates: list[Candidate], now: float) -> list[Effect]:
        """Dial all candidates together, so that a silent one delays no other."""
        self._candidates = {endpoint_of(candidate): candidate for candidate in candidates}
        for endpoint in self._candidates:
            self._untried.pop(endpoint, None)
        self._reach = {
            endpoint: _Reach.REACHED if endpoint in self._links else _Reach.DIALLED
            for endpoint in self._candidates
        }
        self._due_at = now + REACH_SECONDS
        dialled = [e for e, reach in self._reach.items() if reach is _Reach.DIALLED]
        effects = [effect for endpoint in dialled for effect in self._finder.dial(endpoint)]
        return effects + self._choose(now)

    def _give_up(self, now: float) -> list[Effect]:
        for endpoint, reach in self._reach.items():
            if reach is _Reach.DIALLED:
                self._reach[endpoint] = _Reach.UNREACHABLE
                self._finder.forget(endpoint)
        return self._choose(now)

    def _choose(self, now: float) -> list[Effect]:
        """The first candidate that was not unreachable is the choice, as soon as it is reached."""
        possible = [e for e, reach in self._reach.items() if reach is not _Reach.UNREACHABLE]
        if possible and self._reach[possible[0]] is _Reach.DIALLED:
            return []
        reached = [e for e in possible if self._reach[e] is _Reach.REACHED]
        further = None if reached or self._discovery.servers else self._search_further(now)
        if further is not None:
            return further
        self._is_searching = False
        self._known = [self._as_known(e, self._candidates[e], now) for e in reached]
        pause = self._discovery.verify_seconds if reached else self._discovery.retry_seconds
        self._due_at = now + pause
        return [self._outcome(), *self._resume(now)]

    def _resume(self, now: float) -> list[Effect]:
        """Clients that waited for a license server ask those that are known now."""
        searched, self._searched = self._searched, Promise()
        return self._procedures.settle(searched, None, now)

    def _search_further(self, now: float) -> list[Effect] | None:
        """No server was reached: try the scopes that are left, then the servers known before; None
        when those were tried too."""
        if asked := self._finder.ask(self._search.next_scope, now):
            self._reach = {}
            return asked
        return self._dial([*self._untried.values()], now) if self._untried else None

    def _outcome(self) -> Effect:
        if not self._known:
            return _none_found(self._discovery, len(self._candidates))
        chosen = self._known[0]
        return events.LicenseServerChosen(server=chosen.name, found=chosen.found)

    def _as_known(self, endpoint: Endpoint, candidate: Candidate, now: float) -> KnownServer:
        return KnownServer(
            endpoint=endpoint,
            name=self._links[endpoint].name,
            found=candidate.found,
            verified_at=int(now),
        )

    # --- the first answer ---------------------------------------------------------------------

    def _dial_first(self, first: Candidate, now: float) -> list[Effect]:
        """Dial one first answer a search: forged answers cost one dial more, not one each. A forged
        one costs no time: the choice is made as if there had been no first."""
        self._first = first
        endpoint = endpoint_of(first)
        return self._use_first(now) if endpoint in self._links else self._finder.dial(endpoint)

    def _is_first(self, endpoint: Endpoint) -> bool:
        return self._first is not None and endpoint_of(self._first) == endpoint

    def _use_first(self, now: float) -> list[Effect]:
        assert self._first is not None
        first = self._as_known(endpoint_of(self._first), self._first, now)
        self._known = [first]
        in_use = events.LicenseServerInUse(server=first.name, found=first.found)
        return [in_use, *self._resume(now)]

    # --- links --------------------------------------------------------------------------------

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        """A dialled link is up, and the other end's certificate is right."""
        endpoint = peer.dialled
        if endpoint is None or endpoint.role is not Role.LICENSE_SERVER:
            return []
        self._links[endpoint] = peer
        self._finder.forget(endpoint)
        effects: list[Effect] = []
        if self._reach.get(endpoint) is _Reach.DIALLED:
            self._reach[endpoint] = _Reach.REACHED
            if self._is_searching:
                effects = self._choose(now)
            else:
                self._known.append(self._as_known(endpoint, self._candidates[endpoint], now))
        elif not self._is_searching and self._known and self._known[0].endpoint == endpoint:
            self._verified(now)
        if self._is_searching and not self._known and self._is_first(endpoint):
            effects += self._use_first(now)
        return effects

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        if peer.dialled is None or self._links.get(peer.dialled) != peer:
            return []
        del self._links[peer.dialled]
        if not self._is_searching or self._reach.get(peer.dialled) is not _Reach.REACHED:
            return []
        self._reach[peer.dialled] = _Reach.UNREACHABLE
        return self._choose(now)

    def on_dial_failed(self, question_id: int, failure: Failed, now: float) -> list[Effect]:
        """Nothing follows for another question, or a dial that was given up."""
        endpoint = self._finder.failed(question_id)
        if endpoint is None:
            return []
        unreachable = events.LicenseServerUnreachable.to(endpoint, failure.code, failure.detail)
        if self._is_searching and self._reach.get(endpoint) is _Reach.DIALLED:
            self._reach[endpoint] = _Reach.UNREACHABLE
            return [unreachable, *self._choose(now)]
        self._reach.pop(endpoint, None)
        is_chosen = bool(self._known) and self._known[0].endpoint == endpoint
        return [unreachable, *(self.search(now) if is_chosen else [])]

    def _verify(self, chosen: KnownServer, now: float) -> list[Effect]:
        """An open link with its heartbeats proves that the server runs; without one it is dialled,
        and a failure begins a search."""
        if chosen.endpoint in self._links:
            self._verified(now)
            return []
        if self._finder.is_dialling(chosen.endpoint):
            return self.search(now)
        self._due_at = now + self._discovery.verify_seconds
        return self._finder.dial(chosen.endpoint)

    def _verified(self, now: float) -> None:
        self._known[0] = msgspec.structs.replace(self._known[0], verified_at=int(now))
        self._due_at = now + self._discovery.verify_seconds


def _none_found(discovery: Discovery, candidates: int) -> Effect:
    scopes = scopes_of(discovery.workgroup, discovery.domain, discovery.site)
    searched = ", ".join(f"{scope.name.lower()} {name}" for scope, name in scopes)
    detail = f"no license server answered in {searched or 'any scope: none is configured'}"
    step = "start a license server in a scope of this one's, or list it in discovery.servers"
    if candidates:
        detail = "no candidate could be reached"
        step = "see the license_server.unreachable of each candidate"
    return events.LicenseServerNoneFound(candidates=candidates, detail=detail, next_step=step)


def _candidate(known: KnownServer) -> Candidate:
    endpoint = known.endpoint
    return Candidate(endpoint.name, endpoint.host, endpoint.port, known.found)
