"""What a license server knows of the others: searching, dialling, telling, hearing."""

from __future__ import annotations

from daemons import events
from daemons.effects import (
    Broadcast,
    Close,
    Dial,
    Effect,
    Endpoint,
    Failed,
    Peer,
    SendDatagram,
    Tell,
)
from daemons.settings import Discovery
from tests.unit.license_server.scenario import (
    DAY,
    PRODUCT,
    START,
    Server,
    acquire,
    found,
    pack,
    peer,
    renew,
)
from tsproto import discovery, limits
from tsproto.discovery import Query, Scope
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AddKeyPack,
    AnnounceInventory,
    LicenseServerRow,
    LicenseServers,
    QueryLicenseServers,
    Role,
)

FAILED = Failed(ErrorCode.UNREACHABLE)
WORKGROUP_AND_SITE = Discovery(workgroup="lab", site="hall")


def rows(server: Server) -> list[LicenseServerRow]:
    answer = server.asked(QueryLicenseServers(), server.administrator)
    assert isinstance(answer, LicenseServers)
    return answer.servers


def opened(server: Server, link: Peer) -> list[Effect]:
    return server.take(server.core.on_peer_opened(link, server.now))


def reply(query: bytes, name: str) -> bytes:
    """The answer of a license server that is in every scope."""
    scopes = discovery.scopes_of("lab", "dom", "hall")
    answer = discovery.answer(
        query, farm="farm", name=name, port=5601, scopes=scopes, instance=b"other".ljust(16)
    )
    assert answer is not None
    return answer


def searched(server: Server, effects: list[Effect], *names: str) -> list[Effect]:
    """Run a search to its end; the named servers answer in the last scope."""
    while True:
        (query,) = found(effects, Broadcast)
        is_last = discovery.decode_query(query.datagram).scope is Scope.SITE  # type: ignore[union-attr]
        for name in names if is_last else ():
            host = f"{name}.example"
            server.core.on_datagram(host, 5606, reply(query.datagram, name), server.now)
        effects = server.deadline(server.now + 0.5)
        if is_last:
            return effects


def inventories(effects: list[Effect]) -> list[tuple[str, list[int]]]:
    return [
        (tell.peer.name, [row.available for row in tell.message.inventory])
        for tell in found(effects, Tell)
        if isinstance(tell.message, AnnounceInventory)
    ]


# --- searching ----------------------------------------------------------------------------------


def test_every_scope_is_searched_and_who_answers_is_dialled() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    effects = searched(server, server.started, "b")
    (dial,) = found(effects, Dial)
    assert dial.endpoint == Endpoint(Role.LICENSE_SERVER, "b.example", 5601, "b")


def test_an_answer_under_ones_own_name_is_not_dialled() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    assert found(searched(server, server.started, "a"), Dial) == []


def test_a_search_that_found_none_is_repeated_after_retry_seconds() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    searched(server, server.started)
    assert server.core.next_deadline() == server.now + limits.DISCOVERY_RETRY_SECONDS


def test_a_search_that_found_one_is_repeated_after_verify_seconds() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    (dial,) = found(searched(server, server.started, "b"), Dial)
    ended_at = server.now
    opened(server, peer("b", Role.LICENSE_SERVER, dial.endpoint))
    while (at := server.core.next_deadline()) is not None:
        if found(server.deadline(at), Broadcast):
            break
    assert server.now == ended_at + limits.DISCOVERY_VERIFY_SECONDS


def test_a_candidate_that_cannot_be_reached_is_forgotten() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    (dial,) = found(searched(server, server.started, "b"), Dial)
    assert [row.verified_at for row in rows(server)] == [0]
    (event,) = found(server.answers(dial.question_id, FAILED), events.PeerUnreachable)
    assert (event.peer, event.address, event.code) == ("b", "b.example", ErrorCode.UNREACHABLE)
    assert rows(server) == []


def test_a_stranger_that_dials_makes_a_server_search_at_once() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    searched(server, server.started)
    server.now += 60.0
    opened(server, peer("b", Role.LICENSE_SERVER))
    assert server.core.next_deadline() == server.now
    (dial,) = found(searched(server, server.deadline(server.now), "b"), Dial)
    assert dial.endpoint.name == "b"


def test_strangers_cause_no_more_than_a_search_in_five_seconds() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    searched(server, server.started)
    opened(server, peer("b", Role.LICENSE_SERVER))
    prompted_at = server.now
    searched(server, server.deadline(prompted_at))
    opened(server, peer("c", Role.LICENSE_SERVER))
    assert server.core.next_deadline() == prompted_at + 5.0


def test_a_stranger_that_dials_just_after_the_first_search_is_searched_for_at_once() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    searched(server, server.started)
    opened(server, peer("b", Role.LICENSE_SERVER))
    (dial,) = found(searched(server, server.deadline(server.now), "b"), Dial)
    assert dial.endpoint.name == "b"


def test_without_a_scope_and_without_a_list_nothing_is_sent() -> None:
    server = Server("a", discovery=Discovery())
    assert server.started == []
    assert server.core.next_deadline() is None


# --- a list -------------------------------------------------------------------------------------


def test_a_list_is_dialled_and_never_broadcast() -> None:
    server = Server("a", lists=("b", "c", "a"))
    assert [dial.endpoint.name for dial in server.dials()] == ["b", "c"]
    opened(server, peer("d", Role.LICENSE_SERVER))
    server.answers(server.dials()[0].question_id, FAILED)
    for _ in range(20):
        at = server.core.next_deadline()
        assert at is not None and found(server.deadline(at), Broadcast) == []


def test_a_listed_server_is_dialled_again_after_pauses_that_double_up_to_a_minute() -> None:
    server = Server("a", lists=("b",))
    (dial,) = server.dials()
    pauses = []
    for _ in range(8):
        server.answers(dial.question_id, FAILED)
        at = server.core.next_deadline()
        assert at is not None
        pauses.append(at - server.now)
        (dial,) = found(server.deadline(at), Dial)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_lost_link_is_dialled_again() -> None:
    server = Server("a", lists=("b",))
    link = server.linked("b")
    server.take(server.core.on_peer_lost(link, server.now))
    (dial,) = found(server.deadline(server.now + limits.REJOIN_SECONDS), Dial)
    assert dial.endpoint == link.dialled


def verified_then_searching() -> tuple[Server, Peer, list[Effect]]:
    """`b` was found and is linked, and the next search has begun."""
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    (dial,) = found(searched(server, server.started, "b"), Dial)
    link = peer("b", Role.LICENSE_SERVER, dial.endpoint)
    opened(server, link)
    effects: list[Effect] = []
    while not found(effects, Broadcast):
        at = server.core.next_deadline()
        assert at is not None
        effects = server.deadline(at)
    return server, link, effects


def test_a_peer_whose_link_breaks_while_a_search_misses_it_is_dialled_again() -> None:
    server, link, effects = verified_then_searching()
    server.take(server.core.on_peer_lost(link, server.now))
    (dial,) = found(searched(server, effects), Dial)
    assert dial.endpoint == link.dialled
    assert [row.name for row in rows(server)] == ["b"]


def test_a_peer_that_a_search_misses_and_no_dial_reaches_is_forgotten() -> None:
    server, link, effects = verified_then_searching()
    server.take(server.core.on_peer_lost(link, server.now - limits.REJOIN_SECONDS))
    (dial,) = found(server.deadline(server.now), Dial)
    server.answers(dial.question_id, FAILED)
    searched(server, effects)
    assert rows(server) == []


def test_forged_answers_do_not_crowd_out_a_peer_that_was_reached() -> None:
    server, link, effects = verified_then_searching()
    server.take(server.core.on_peer_lost(link, server.now - limits.REJOIN_SECONDS))
    (dial,) = found(server.deadline(server.now), Dial)
    server.answers(dial.question_id, FAILED)
    forged = [f"forged{number}" for number in range(limits.DISCOVERY_ANSWERS_MAX)]
    searched(server, effects, *forged, "too-many", "b")
    assert [row.name for row in rows(server)] == [*forged, "b"]


def test_a_server_that_dialled_itself_hangs_up_and_does_not_try_again() -> None:
    server = Server("b", lists=("x",))
    (dial,) = server.dials()
    myself = peer("b", Role.LICENSE_SERVER, dial.endpoint)
    (close,) = opened(server, myself)
    assert isinstance(close, Close) and close.peer == myself
    assert opened(server, peer("b", Role.LICENSE_SERVER)) == []
    assert server.core.next_deadline() is None


def test_the_administrator_sees_how_each_was_found_and_what_it_claims() -> None:
    server = Server("a", lists=("b", "c"))
    server.told(server.linked("b"), 3)
    first, second = rows(server)
    assert (first.name, first.address, first.found) == ("b", "b.example", "list")
    assert first.verified_at == int(START)
    assert [row.available for row in first.inventory] == [3]
    assert (second.name, second.verified_at, second.inventory) == ("c", 0, [])


# --- inventories --------------------------------------------------------------------------------


def test_a_linked_peer_is_told_at_once_then_on_change_then_every_minute() -> None:
    server = Server("a", pack(2), lists=("b",))
    (dial,) = server.dials()
    server.now += 10.0
    link = peer("b", Role.LICENSE_SERVER, dial.endpoint)
    assert inventories(opened(server, link)) == [("b", [2])]
    told_at = server.now = server.now + 60.0
    assert inventories(server.deadline(told_at)) == [("b", [2])]
    server.now += 2.0
    server.logs_on()
    assert inventories(server.hears(acquire())) == [("b", [1])]
    assert server.core.next_deadline() == server.now + limits.INVENTORY_SECONDS


def test_changes_in_quick_succession_are_told_together() -> None:
    server = Server("a", pack(2), lists=("b",))
    server.linked("b")
    added = AddKeyPack(key_pack="more", product=PRODUCT, product_version=1, tokens=3)
    server.now += 0.25
    assert inventories(server.hears(added, server.administrator)) == []
    assert server.core.next_deadline() == START + 1.0
    assert inventories(server.deadline(START + 1.0)) == [("b", [5])]


def test_a_renewal_changes_nothing_that_is_told() -> None:
    server = Server("a", pack(2), lists=("b",))
    full = server.full()
    server.now = linked_at = full.expires_at - 7.0 * DAY
    server.linked("b")
    server.now += 0.5
    assert server.issued(renew(full.license_id)).expires_at > full.expires_at
    assert server.core.next_deadline() == linked_at + limits.INVENTORY_SECONDS


def test_two_links_to_one_peer_carry_one_announcement() -> None:
    server = Server("a", pack(2), lists=("b",))
    server.linked("b")
    opened(server, peer("b", Role.LICENSE_SERVER))
    assert inventories(server.deadline(START + 60.0)) == [("b", [2])]


def test_what_a_peer_claimed_is_forgotten_with_its_last_link() -> None:
    server = Server("a", lists=("b",))
    link = server.linked("b")
    other = peer("b", Role.LICENSE_SERVER)
    opened(server, other)
    server.told(link, 3)
    server.core.on_peer_lost(other, server.now)
    assert [len(row.inventory) for row in rows(server)] == [1]
    server.core.on_peer_lost(link, server.now)
    assert [len(row.inventory) for row in rows(server)] == [0]


def test_a_terminal_servers_link_is_no_peer() -> None:
    server = Server("a", pack(2))
    assert server.core.on_peer_opened(server.terminal_server, START) == []
    assert server.core.on_peer_lost(server.terminal_server, START) == []


# --- being found --------------------------------------------------------------------------------


def query(scope: Scope, scope_name: str, farm: str = "farm") -> bytes:
    return discovery.encode_query(
        Query(farm=farm, scope=scope, scope_name=scope_name, nonce=b"n" * 16)
    )


def test_a_query_for_its_scope_is_answered_with_name_and_port() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    sent = server.core.on_datagram("10.0.0.7", 5606, query(Scope.SITE, "hall"), START)
    (datagram,) = found(sent, SendDatagram)
    assert (datagram.host, datagram.port) == ("10.0.0.7", 5606)
    answer = discovery.decode_answer(datagram.datagram)
    assert answer is not None and (answer.name, answer.port) == ("a", 5601)


def test_other_scopes_other_farms_and_noise_are_not_answered() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    strange = query(Scope.SITE, "hall", farm="other")
    for datagram in (query(Scope.SITE, "office"), strange, b"noise"):
        assert server.core.on_datagram("10.0.0.7", 5606, datagram, START) == []


def test_queries_are_answered_up_to_a_rate() -> None:
    server = Server("a", discovery=WORKGROUP_AND_SITE)
    asked = query(Scope.SITE, "hall")
    sent = [server.core.on_datagram("10.0.0.7", 5606, asked, START) for _ in range(11)]
    assert [len(each) for each in sent] == [1] * 10 + [0]
    assert len(server.core.on_datagram("10.0.0.8", 5606, asked, START)) == 1
    assert len(server.core.on_datagram("10.0.0.7", 5606, asked, START + 1.0)) == 1
