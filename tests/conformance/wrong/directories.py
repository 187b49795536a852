"""Faults of a session directory."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from daemons.effects import Answer, Caller, Core, Effect, Peer
from daemons.session_directory import core, farm, proofs, session_index
from daemons.session_directory.farm import Farm
from daemons.session_directory.placement import Placer
from daemons.session_directory.proofs import Proofs
from daemons.session_directory.receipts import SEEN, Receipts
from daemons.session_directory.records import Server
from daemons.session_directory.reservations import Reservations
from daemons.session_directory.session_index import PREFERENCE
from tests.conformance.wrong.fault import (
    Fault,
    Plant,
    deciding,
    hearing,
    limit,
    replaced,
    together,
)
from tests.conformance.wrong.proving import accepting
from tsproto.account import Account
from tsproto.messages import (
    JoinFarm,
    Message,
    PlaceSession,
    RemoveSession,
    Role,
    ServerState,
    SessionPlaced,
    SessionRow,
    SyncSessions,
    UpdateSession,
)

_fault_of = Proofs.fault_of
_give = Receipts.give
_give_receipt = Placer._give_receipt
_join = Farm.join
_update = Farm.update_session
_synchronize = Farm.synchronize
_cancel = Reservations.cancel


def _reserves_nothing(core: Core, caller: Caller, message: Message, now: float) -> list[Effect]:
    decided = core.on_message(caller, message, now)
    for effect in decided:
        if isinstance(effect, Answer) and isinstance(effect.message, SessionPlaced):
            placed = effect.message
            if not placed.session_id and isinstance(message, PlaceSession):
                gone = RemoveSession(
                    session_id=0, placement=placed.placement, user_name=message.user_name
                )
                core.on_message(Caller(caller.peer), gone, now)
    return decided


def _latest(message: Message) -> Message:
    """Every report has the highest placement."""
    if isinstance(message, RemoveSession):
        return replace(message, placement=2**52)
    if isinstance(message, UpdateSession):
        return replace(message, session=replace(message.session, placement=2**52))
    return message


def _every_part_is_the_last(message: Message) -> Message:
    return replace(message, last=True) if isinstance(message, SyncSessions) else message


def _joins_without_reservations(
    self: Farm, caller: Caller, request: JoinFarm, now: float
) -> list[Effect]:
    self.reservations.forget_server(caller.peer.name)
    return _join(self, caller, request, now)


def _gives_up_for_any_host(self: Reservations, server: str, placement: int) -> bool:
    reservation = self._by_number.get(placement)
    return _cancel(self, server if reservation is None else reservation.server, placement)


def _gives_up_by_host_alone(self: Reservations, server: str, placement: int) -> bool:
    self.forget_server(server)
    return True


def _shows_news_at_once(self: Farm, peer: Peer, row: SessionRow, now: float) -> list[Effect]:
    server = self.joined_over(peer)
    if server is not None and server.state is ServerState.SYNCHRONIZING:
        self.sessions.put(row)
    return _update(self, peer, row, now)


def _believes_the_list(
    self: Farm, caller: Caller, request: SyncSessions, now: float
) -> list[Effect]:
    """A row of the list replaces a report with a lower placement."""
    server = self.joined_over(caller.peer)
    coming = {} if server is None else server.incoming
    for row in request.sessions:
        known = coming.get(row.session_id)
        if known is not None and known.placement < row.placement:
            del coming[row.session_id]
    return _synchronize(self, caller, request, now)


def _fences_news_with_the_list(self: Farm, server: Server, session_id: int, placement: int) -> bool:
    known = self._known(server).get(session_id)
    return known is not None and placement < known.placement


def _listens_to_strangers(self: Farm, peer: Peer, row: SessionRow, now: float) -> list[Effect]:
    if self.joined_over(peer) is None:
        self.sessions.put(row)
    return _update(self, peer, row, now)


def _may_report_no_session(server: Server, row: SessionRow) -> bool:
    return row.host == server.name


def _counts_every_placement(self: Reservations, placement: int, now: float) -> None:
    self._last = max(self._last, placement)


def _knows_no_creation(row: SessionRow) -> tuple[int, int, str, int]:
    preference = PREFERENCE.get(row.state, len(PREFERENCE))
    return preference, -row.disconnected_at, row.host, row.session_id


def _takes_0_for_no_limit(message: Message) -> Message:
    if isinstance(message, JoinFarm) and not message.sessions_max:
        return replace(message, sessions_max=2**20)
    return message


def _draws_for_every_answer(
    core: Core, caller: Caller, message: Message, now: float
) -> list[Effect]:
    decided = core.on_message(caller, message, now)
    for at, effect in enumerate(decided):
        if isinstance(effect, Answer) and isinstance(effect.message, SessionPlaced):
            drawn = replace(effect.message, placement=int(now * 1_000_000))
            if drawn.session_id:
                decided[at] = Answer(effect.caller, drawn)
    return decided


def _without(**values: object) -> Any:
    def change(message: Message) -> Message:
        is_asked_where = isinstance(message, PlaceSession) and (
            not message.session_id or message.redirected
        )
        return replace(message, **values) if is_asked_where else message

    return change


def _believes_without_a_proof(self: Proofs, peer: Peer, request: PlaceSession, now: float) -> str:
    return _fault_of(self, peer, request, now) if request.proof else ""


def _wants_each_proof_once(self: Proofs, peer: Peer, request: PlaceSession, now: float) -> str:
    seen = vars(self).setdefault("seen", set())
    nonces = [proof.nonce for proof in request.proof]
    if seen & set(nonces):
        return "the proof has come before"
    seen.update(nonces)
    return _fault_of(self, peer, request, now)


def _takes_proofs_for_any_host() -> Plant:
    """Tries the name and certificate of every host that has joined."""
    hosts: list[dict[str, Any]] = []

    def join(self: Farm, caller: Caller, request: JoinFarm, now: float) -> list[Effect]:
        hosts.append({"server": caller.peer.name, "certificate": caller.peer.peer_certificate})
        return _join(self, caller, request, now)

    return together(
        replaced(Farm, "join", join), replaced(Account, "is_proved_by", accepting(hosts))
    )


def _reserves_all_the_same(
    core: Core, caller: Caller, message: Message, now: float
) -> list[Effect]:
    decided = core.on_message(caller, message, now)
    if isinstance(message, PlaceSession):
        with patch.object(Proofs, "fault_of", lambda *_: ""):
            core.on_message(caller, message, now)
    return decided


def _gives_receipts_without(*forgotten: str) -> Any:
    def give(
        self: Receipts, server: str, user_name: str, application: str, placement: int
    ) -> bytes:
        named: dict[str, Any] = {
            "server": server,
            "user_name": user_name,
            "application": application,
            "placement": placement,
        }
        return _give(self, **named | {name: type(named[name])() for name in forgotten})

    return give


def _gives_receipts_for_anything(
    self: Placer, caller: Caller, request: PlaceSession, asking: Server
) -> list[Effect]:
    rows = self._farm.sessions.of_server(asking.name)
    row = rows.get(request.session_id) or next(iter(rows.values()))
    wrong = replace(
        request,
        session_id=row.session_id,
        user_name=row.user_name,
        application=row.application,
    )
    return _give_receipt(self, caller, wrong, asking)


def _fault(name: str, found_by: str, **how: Any) -> Fault:
    return Fault(name=name, role=Role.SESSION_DIRECTORY, found_by=found_by, **how)


FAULTS = (
    _fault(
        "places a user without a proof",
        "DIR-29.a-host-without-a-proof",
        plant=replaced(Proofs, "fault_of", _believes_without_a_proof),
    ),
    _fault(
        "reserves a place before it looks at the proof",
        "DIR-29.a-host-without-a-proof",
        wrap=deciding(_reserves_all_the_same),
    ),
    _fault(
        "takes proofs for any host",
        "DIR-29.proofs-that-were-not-given-for-this",
        plant=_takes_proofs_for_any_host(),
    ),
    _fault(
        "takes any signature for a proof",
        "DIR-29.proofs-that-were-not-given-for-this",
        plant=replaced(Account, "is_proved_by", lambda self, *_: True),
    ),
    _fault(
        "takes proofs for another farm",
        "DIR-29.proofs-that-were-not-given-for-this",
        plant=replaced(Account, "is_proved_by", accepting([{"farm": "elsewhere"}])),
    ),
    _fault(
        "takes old proofs",
        "DIR-29.how-old-a-proof-may-be",
        plant=replaced(proofs, "AGE_SECONDS_MAX", 86_400),
    ),
    _fault(
        "takes proofs of times to come",
        "DIR-29.how-old-a-proof-may-be",
        plant=limit(proofs, PROOF_CLOCK_SECONDS=86_400),
    ),
    _fault(
        "takes a proof once",
        "DIR-29.the-same-proof-of-the-same-host",
        plant=replaced(Proofs, "fault_of", _wants_each_proof_once),
    ),
    _fault(
        "leads users to rows without a receipt",
        "DIR-30.a-row-without-a-receipt-leads-nobody",
        plant=replaced(Receipts, "judged", lambda self, row: SEEN),
    ),
    _fault(
        "takes any receipt",
        "DIR-30.receipts-that-were-given-for-something-else",
        plant=replaced(Receipts, "judged", lambda self, row: SEEN if row.receipt else b""),
    ),
    *(
        _fault(
            f"gives receipts that do not name the {name}",
            "DIR-30.receipts-that-were-given-for-something-else",
            plant=replaced(Receipts, "give", _gives_receipts_without(name)),
        )
        for name in ("server", "user_name", "application", "placement")
    ),
    _fault(
        "forgets what a redirect promised",
        "DIR-25.the-session-that-was-promised",
        wrap=hearing(_without(session_id=0)),
    ),
    _fault(
        "gives receipts for any session",
        "DIR-26.no-receipt-for-other-sessions",
        plant=replaced(Placer, "_give_receipt", _gives_receipts_for_anything),
    ),
    _fault(
        "gives no receipt for an older proof",
        "DIR-26.an-older-proof-for-a-receipt-alone",
        plant=replaced(proofs, "RECEIPT_AGE_SECONDS_MAX", 240),
    ),
    _fault(
        "knows no receipts after a restart",
        "DIR-27.receipts-outlive-the-directory",
        plant=replaced(core, "records_of", lambda kind, records: []),
    ),
    _fault(
        "looks up, and reserves nothing",
        "DIR-04.all-who-ask-get-one-place",
        wrap=deciding(_reserves_nothing),
    ),
    _fault(
        "never removes a row",
        "DIR-09.a-session-that-has-ended",
        wrap=hearing(lambda message: None if isinstance(message, RemoveSession) else message),
    ),
    _fault("takes late news for new", "DIR-07.news-that-was-overtaken", wrap=hearing(_latest)),
    _fault(
        "shows a list that is not complete",
        "SYNC-02.synchronizing-until-the-last-part",
        wrap=hearing(_every_part_is_the_last),
    ),
    _fault(
        "lets a host report for another",
        "DIR-08.sessions-of-another-host",
        plant=replaced(farm, "_may_report", lambda server, row: True),
    ),
    _fault(
        "leads users to a lost host",
        "DIR-10.a-lost-host-gets-nobody",
        plant=replaced(Farm, "lose", lambda self, peer, now: []),
    ),
    _fault(
        "does not avoid a host",
        "DIR-06.a-host-that-is-avoided",
        wrap=hearing(_without(avoid="")),
    ),
    _fault(
        "takes all applications for one",
        "DIR-14.applications-are-apart",
        wrap=hearing(_without(application="")),
    ),
    _fault(
        "lets everybody join",
        "DIR-18.who-may-not-join",
        plant=replaced(Farm, "_refusal", lambda self, name: None),
    ),
    _fault(
        "lets two hosts have one name",
        "SYNC-14.two-hosts-of-one-name",
        plant=replaced(Farm, "_name_conflict", lambda self, peer, request: None),
    ),
    _fault(
        "leaves an older link open",
        "SYNC-15.the-same-host-over-a-newer-link",
        plant=replaced(Farm, "_older_link", lambda self, peer: []),
    ),
    _fault(
        "drops reservations when their host joins again",
        "DIR-04.a-reservation-outlives-joining-again",
        plant=replaced(Farm, "join", _joins_without_reservations),
    ),
    _fault(
        "lets any host give a reservation up",
        "DIR-19.whoever-else-gives-a-reservation-up",
        plant=replaced(Reservations, "cancel", _gives_up_for_any_host),
    ),
    _fault(
        "gives reservations up whatever their placement",
        "DIR-19.whoever-else-gives-a-reservation-up",
        plant=replaced(Reservations, "cancel", _gives_up_by_host_alone),
    ),
    _fault(
        "shows news while the list is coming",
        "SYNC-06.news-is-not-shown-before-the-list",
        plant=replaced(Farm, "update_session", _shows_news_at_once),
    ),
    _fault(
        "lets the list overrule news of a lower placement",
        "SYNC-06.news-of-a-lower-placement-than-the-lists",
        plant=replaced(Farm, "synchronize", _believes_the_list),
    ),
    _fault(
        "fences news with the list that is coming",
        "SYNC-06.news-of-a-lower-placement-than-the-lists",
        plant=replaced(Farm, "_is_overtaken", _fences_news_with_the_list),
    ),
    _fault(
        "takes news of who has not joined",
        "DIR-20.news-of-whoever-has-not-joined",
        plant=replaced(Farm, "update_session", _listens_to_strangers),
    ),
    _fault(
        "takes 0 for a session's number",
        "DIR-20.news-of-no-session",
        plant=replaced(farm, "_may_report", _may_report_no_session),
    ),
    _fault(
        "goes on above placements that no directory gave",
        "DIR-23.placements-that-no-directory-gave",
        plant=replaced(Reservations, "reported", _counts_every_placement),
    ),
    _fault(
        "takes a session that was not left for one never used",
        "DIR-12.which-of-several-is-offered",
        plant=replaced(session_index, "_order", _knows_no_creation),
    ),
    _fault(
        "takes sessions_max 0 for no limit",
        "DIR-13.a-host-that-takes-no-sessions",
        wrap=hearing(_takes_0_for_no_limit),
    ),
    _fault(
        "draws a placement for every answer",
        "DIR-22.the-placement-of-a-session-that-is-there",
        wrap=deciding(_draws_for_every_answer),
    ),
)
