"""The other license servers: their addresses, links and inventories.

A server that answered a broadcast is a candidate until it was dialled and its certificate gave its
role and name. An inventory may be out of date: only the lender's answer to a request decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from daemons import events
from daemons.discovery import Finder, endpoint_of
from daemons.effects import (
    Close,
    Effect,
    Endpoint,
    Failed,
    Outcome,
    Peer,
    Randomness,
    Tell,
    earliest,
)
from daemons.license_server.pools import Pools
from daemons.settings import Discovery
from tsproto import limits
from tsproto.discovery import Candidate, Search, scopes_of
from tsproto.errors import ErrorCode
from tsproto.messages import AnnounceInventory, InventoryRow, LicenseServerRow

ANNOUNCE_PAUSE_SECONDS = 1.0  # a burst of issues is told to peers in one message
SEARCH_PAUSE_SECONDS = 5.0  # least time between two searches that unknown peers cause
KNOWN_MAX = 256  # bound of LicenseServers.servers


class KnownPeer(msgspec.Struct):
    """The address of a license server or of a candidate.

    `name` is its certificate's, empty until it was dialled; `dial_at` is None while it is linked or
    being dialled. `found` is "list" or the scope that it answered in.
    """

    endpoint: Endpoint
    found: str
    name: str = ""
    verified_at: float = 0.0
    link: int | None = None
    dial_at: float | None = None
    pause: float = limits.REJOIN_SECONDS


class Peers:
    """Finds the license servers of the list, or else of the scopes, dials them, and tells them our
    inventory."""

    def __init__(
        self,
        settings: Discovery,
        *,
        farm: str,
        name: str,
        pools: Pools,
        next_question_id: Callable[[], int],
        rng: Randomness,
        instance: bytes,
    ) -> None:
        self._settings = settings
        self._name = name
        self._pools = pools
        self._search = Search(
            farm,
            scopes_of(settings.workgroup, settings.domain, settings.site),
            window_seconds=settings.window_seconds,
            every_scope=True,
            instance=instance,
            is_known=self._was_reached,
        )
        self._finder = Finder(next_question_id, rng)
        self._search_at: float | None = None
        self._prompted_at = 0.0
        self._known: dict[Endpoint, KnownPeer] = {}
        self._links: dict[int, Peer] = {}
        self._claims: dict[str, Sequence[InventoryRow]] = {}
        self._announced_at = 0.0
        self._announced_revision = -1

    # --- queries ------------------------------------------------------------------------------

    def claiming(self, product: str, product_version: int) -> list[str]:
        """Linked peers that claim a token which this version accepts: the nearest version first,
        then the peer with most. One without an `endpoint` cannot be asked yet."""
        ranked = [
            (row.product_version, -row.available, name)
            for name, rows in self._claims.items()
            for row in rows
            if row.product == product and row.product_version >= product_version and row.available
        ]
        return [*dict.fromkeys(name for _, _, name in sorted(ranked))]

    def endpoint(self, name: str) -> Endpoint | None:
        """The endpoint at which a certificate of this name was seen; None when there is none."""
        places = [known for known in self._known.values() if known.name == name]
        best = min(places, key=lambda known: known.link is None, default=None)
        return best.endpoint if best else None

    def is_linked(self, name: str) -> bool:
        return any(peer.name == name for peer in self._links.values())

    def claims_of(self, product: str) -> dict[str, str]:
        """The claims of every linked peer to tokens of a product, as text."""
        names = dict.fromkeys(peer.name for peer in self._links.values())
        return {name: self._claim(name, product) for name in names}

    def rows(self) -> list[LicenseServerRow]:
        return [
            LicenseServerRow(
                name=known.name or known.endpoint.name,
                address=known.endpoint.host,
                port=known.endpoint.port,
                found=known.found,
                verified_at=int(known.verified_at),
                inventory=list(self._claims.get(known.name, ())),
            )
            for known in self._known.values()
        ]

    def is_dialling(self, question_id: int) -> bool:
        return question_id in self._finder.dials

    # --- links, inventories, datagrams --------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Dial the servers of the list; without a list, search."""
        listed = self._settings.servers
        for server in listed:
            if server.name != self._name:
                endpoint = endpoint_of(server)
                self._known[endpoint] = KnownPeer(endpoint, "list", dial_at=now)
        return self._dial_due(now) if listed else self._begin_search(now)

    def search_soon(self, now: float) -> None:
        """Search now, when a search that is under way has ended, or SEARCH_PAUSE_SECONDS after the
        last search that this method caused. A list is never searched."""
        if self._settings.servers:
            return
        soon = max(now, self._prompted_at + SEARCH_PAUSE_SECONDS)
        if self._search_at is None or soon < self._search_at:
            self._search_at = self._prompted_at = soon

    def on_opened(self, peer: Peer, now: float) -> list[Effect]:
        """A link to another license server is open; either side may have dialled."""
        if peer.name == self._name:
            return self._forget_self(peer)
        if not self._links:
            self._announced_at, self._announced_revision = now, self._pools.revision
        self._links[peer.link] = peer
        known = self._known.get(peer.dialled) if peer.dialled else None
        if known is not None:
            self._finder.forget(known.endpoint)
            known.name, known.verified_at, known.link = peer.name, now, peer.link
            known.dial_at, known.pause = None, limits.REJOIN_SECONDS
        elif not self._is_expected(peer.name):
            self.search_soon(now)
        return [
            Tell(peer, AnnounceInventory(inventory=self._pools.inventory())),
            events.PeerLinked(peer=peer.name, found=known.found if known else "dialled us"),
        ]

    def on_lost(self, peer: Peer, now: float) -> list[Effect]:
        if self._links.pop(peer.link, None) is None:
            return []
        if not self.is_linked(peer.name):
            self._claims.pop(peer.name, None)
        known = self._known.get(peer.dialled) if peer.dialled else None
        if known is not None and known.link == peer.link:
            known.link, known.dial_at = None, now + known.pause
        return [events.PeerLost(peer=peer.name)]

    def on_inventory(self, peer: Peer, inventory: Sequence[InventoryRow]) -> None:
        self._claims[peer.name] = inventory

    def forget_claims(self, name: str) -> None:
        """The peer gave no token: it is not asked again until its next inventory."""
        self._claims.pop(name, None)

    def on_dial_failed(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        """A listed or once linked server is dialled again, after pauses that double up to
        INVENTORY_SECONDS; a candidate is forgotten."""
        endpoint = self._finder.failed(question_id)
        known = self._known.get(endpoint) if endpoint else None
        if known is None:
            return []
        if known.found != "list" and not known.name:
            del self._known[known.endpoint]
        else:
            known.dial_at = now + known.pause
            known.pause = min(2 * known.pause, limits.INVENTORY_SECONDS)
        why = outcome if isinstance(outcome, Failed) else Failed(ErrorCode.UNREACHABLE)
        name = known.name or known.endpoint.name
        return [events.PeerUnreachable.to(known.endpoint, why.code, why.detail, peer=name)]

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> None:
        self._search.on_datagram(host, port, datagram, now)

    # --- time ---------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        search = self._search.next_deadline()
        return earliest(
            *[known.dial_at for known in self._known.values()],
            self._search_at if search is None else search,
            self._announce_at() if self._links else None,
        )

    def on_deadline(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._search.searching:
            effects += self._next_scope(now)
        elif self._search_at is not None and self._search_at <= now:
            effects += self._begin_search(now)
        return effects + self._dial_due(now)

    def announcements(self, now: float) -> list[Effect]:
        """This server's inventory for every linked peer: ANNOUNCE_PAUSE_SECONDS after a change, and
        every INVENTORY_SECONDS."""
        if not self._links or now < self._announce_at():
            return []
        self._announced_at, self._announced_revision = now, self._pools.revision
        one_link_each = {peer.name: peer for peer in self._links.values()}
        return [
            Tell(peer, AnnounceInventory(inventory=self._pools.inventory()))
            for peer in one_link_each.values()
        ]

    def _announce_at(self) -> float:
        changed = self._pools.revision != self._announced_revision
        return self._announced_at + (
            ANNOUNCE_PAUSE_SECONDS if changed else limits.INVENTORY_SECONDS
        )

    # --- searching and dialling ---------------------------------------------------------------

    def _begin_search(self, now: float) -> list[Effect]:
        self._search_at = None
        return self._finder.ask(self._search.start, now)

    def _next_scope(self, now: float) -> list[Effect]:
        asked = self._finder.ask(self._search.on_deadline, now)
        if not self._search.searching:
            self._take_candidates(now)
        return asked

    def _take_candidates(self, now: float) -> None:
        """Keep servers that are linked, being dialled, or to be dialled again, and add the
        candidates of this search; plan the next one."""
        self._known = {
            endpoint: known
            for endpoint, known in self._known.items()
            if known.link is not None or self._finder.is_dialling(endpoint) or _is_awaited(known)
        }
        for candidate in self._search.found:
            endpoint = endpoint_of(candidate)
            is_new = candidate.name != self._name and endpoint not in self._known
            if is_new and len(self._known) < KNOWN_MAX:
                self._known[endpoint] = KnownPeer(endpoint, candidate.found, dial_at=now)
        wait = self._settings.verify_seconds if self._known else self._settings.retry_seconds
        planned = now + wait
        self._search_at = planned if self._search_at is None else min(self._search_at, planned)

    def _dial_due(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for known in self._known.values():
            if known.dial_at is not None and known.dial_at <= now:
                known.dial_at = None
                effects += self._finder.dial(known.endpoint)
        return effects

    def _was_reached(self, candidate: Candidate) -> bool:
        known = self._known.get(endpoint_of(candidate))
        return known is not None and known.name != ""

    def _is_expected(self, name: str) -> bool:
        return any(name in (known.name, known.endpoint.name) for known in self._known.values())

    def _forget_self(self, peer: Peer) -> list[Effect]:
        """A list without names may hold our own address: the end that dialled hangs up."""
        if peer.dialled is None:
            return []
        self._known.pop(peer.dialled, None)
        return [Close(peer, ErrorCode.NORMAL, "this license server has dialled itself")]

    def _claim(self, name: str, product: str) -> str:
        rows = [row for row in self._claims.get(name, ()) if row.product == product]
        claims = ", ".join(f"{row.available} of version {row.product_version}" for row in rows)
        return (claims or "claims none") + ("" if self.endpoint(name) else ", not dialled yet")


def _is_awaited(known: KnownPeer) -> bool:
    """Whether its link broke and no dial has failed since: then it is kept, though the last search
    did not find it."""
    is_due = known.dial_at is not None
    return is_due and known.name != "" and known.pause == limits.REJOIN_SECONDS
