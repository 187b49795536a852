"""What a core may rely on, and what its peers see of what it decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemons.effects import (
    Answer,
    Ask,
    Broadcast,
    Caller,
    Close,
    Dial,
    Effect,
    Endpoint,
    Failed,
    Outcome,
    Peer,
    Persist,
    Record,
    Tell,
    Warp,
)
from daemons.events import ClockWarped
from daemons.switchboard import EFFECTS_WAITING_MAX, Switchboard
from tests.unit.daemons.lines import MemoryLine
from tsproto.connection import Answered, Closed, Opened, Received
from tsproto.deny_list import DenyLists
from tsproto.errors import ErrorCode
from tsproto.messages import Done, Message, QueryPools, Refused, RemoveSession, Role, WarpClock

HERE = Endpoint(Role.LICENSE_SERVER, "10.0.0.1", 5600)
POOLS = QueryPools(request_id=3)
NOTICE = RemoveSession(session_id=1, placement=1, user_name="ann")
GONE = Closed(ErrorCode.SHUTTING_DOWN, "good night")
BUSY = Refused(
    code=ErrorCode.BUSY,
    detail="the daemon waits for its disk; try again",
    retry_after_seconds=1,
)


class Row(Record):
    table: ClassVar[str] = "rows"
    key: ClassVar[tuple[str, ...]] = ("number",)

    number: int


PERSIST = Persist(put=(Row(number=1),))
MORE = Persist(put=(Row(number=2),))
A, B = Broadcast(b"A"), Broadcast(b"B")


class ScriptedCore:
    """Decides what the test says in `decide`, by what it is told; `told` is all it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.decide: dict[str, Callable[..., list[Effect]]] = {}
        self.deadline: float | None = None

    def _tell(self, what: str, *more: object) -> list[Effect]:
        self.told.append((what, *more) if more else what)
        decide = self.decide.get(what)
        return [] if decide is None else decide(*more)

    def on_start(self, now: float) -> list[Effect]:
        return self._tell("start")

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        return self._tell("opened", peer.link)

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        return self._tell("message", caller, message)

    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        return self._tell("answer", question_id, outcome)

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        return self._tell("lost", peer.link)

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        return self._tell("datagram", datagram)

    def next_deadline(self) -> float | None:
        return self.deadline

    def on_deadline(self, now: float) -> list[Effect]:
        return self._tell("deadline", now)


class Board:
    """A switchboard with its core, its hands and its lines. `done` is what the hands did."""

    def __init__(self, deny_lists: DenyLists | None = None) -> None:
        self.core = ScriptedCore()
        self.done: list[object] = []
        self.switchboard = Switchboard[MemoryLine](self.core, self, deny_lists or DenyLists())

    def dial(self, endpoint: Endpoint) -> None:
        self.done.append(("dial", endpoint))

    def commit(self, batch: list[Persist]) -> None:
        self.done.append(("commit", batch))

    def perform(self, effect: Effect) -> None:
        self.done.append(effect)

    def turn(self, now: float = 0.0, ticks: float = 0.0) -> None:
        self.switchboard.turn(now, ticks)

    def run(self, *effects: Effect) -> None:
        """The core decides this, out of nothing."""
        self.switchboard.add(lambda now: list(effects))
        self.turn()

    def committed(self) -> None:
        self.switchboard.committed(0.0, 0.0)

    def line(
        self,
        number: int,
        role: Role = Role.ADMINISTRATOR,
        denied: tuple[int, int] = (0, 0),
        certificate: bytes = b"",
    ) -> MemoryLine:
        """A peer that dialled, and is open; `denied` are the numbers of its deny lists."""
        line = MemoryLine(number)
        line.peer_certificate = certificate
        self.switchboard.happened(line, opened(role, denied))
        self.turn()
        line.done.clear()
        self.core.told.clear()
        return line

    def dialled(self, number: int = 1) -> MemoryLine:
        """An open link to HERE."""
        self.run(Dial(HERE, 99))
        line = MemoryLine(number)
        self.switchboard.dialled(HERE, line)
        self.switchboard.happened(line, opened(Role.LICENSE_SERVER))
        self.turn()
        self.done.clear()
        line.done.clear()
        self.core.told.clear()
        return line

    def hears(self, line: MemoryLine, *events: Any) -> None:
        """These happen on a line in one moment."""
        for event in events:
            self.switchboard.happened(line, event)
        self.turn()

    def peer(self, line: MemoryLine) -> Peer:
        peer = self.switchboard.peer_of(line)
        assert peer is not None
        return peer


def opened(role: Role = Role.ADMINISTRATOR, denied: tuple[int, int] = (0, 0)) -> Opened:
    return Opened(role, "root", 1, "", denied)


def ask(question_id: int, seconds: float = 5.0) -> Ask:
    return Ask(HERE, QueryPools(), question_id, seconds)


# --- peers ----------------------------------------------------------------------------------------


def test_a_core_is_told_of_a_peer_its_messages_and_its_loss() -> None:
    board, line = Board(), MemoryLine(4)
    board.hears(line, opened(), Received(POOLS))
    board.hears(line, GONE)
    peer = Peer(4, Role.ADMINISTRATOR, "root", "10.0.0.1", 5600)
    assert board.core.told == [("opened", 4), ("message", Caller(peer, 3), POOLS), ("lost", 4)]


def test_a_peer_that_we_dialled_is_known_by_its_endpoint() -> None:
    board = Board()
    line = board.dialled()
    assert board.peer(line).dialled == HERE
    assert list(board.switchboard.dialled_lines()) == [line]


def test_what_one_turn_says_to_a_peer_leaves_in_one_write() -> None:
    board = Board()
    line = board.line(1)
    caller = Caller(board.peer(line), 3)
    board.core.decide["message"] = lambda caller, message: [Tell(caller.peer, NOTICE)]
    board.switchboard.add(lambda now: [Answer(caller, Done())])
    board.hears(line, Received(POOLS))
    assert line.done == [("send", Done(), 3), ("send", NOTICE, 0), "flush"]


def test_what_is_said_to_a_peer_that_is_gone_is_dropped() -> None:
    board = Board()
    line = board.line(1)
    peer = board.peer(line)
    board.hears(line, GONE)
    board.run(Answer(Caller(peer, 3), Done()))
    board.run(Tell(peer, NOTICE), Close(peer, ErrorCode.NORMAL))
    assert line.done == []
    assert board.switchboard.line_of(peer) is None
    assert board.switchboard.peer_of(line) is None


def test_a_line_that_ends_before_it_is_open_is_never_told_of() -> None:
    board = Board()
    board.hears(MemoryLine(1), GONE)
    assert board.core.told == []


# --- the end of a link ----------------------------------------------------------------------------


def test_a_core_that_hangs_up_hears_nothing_more_of_that_link() -> None:
    board = Board()
    line = board.line(1)
    board.core.decide["message"] = lambda caller, message: [
        Close(caller.peer, ErrorCode.OUT_OF_ORDER, "why", "trace", 7)
    ]
    board.hears(line, Received(POOLS), Received(POOLS))
    board.hears(line, Received(POOLS), GONE)
    assert len(board.core.told) == 1
    assert line.done == [("close", ErrorCode.OUT_OF_ORDER, "why", "trace", 7)]


def test_a_message_that_its_peers_loss_has_overtaken_is_not_told() -> None:
    board = Board()
    line = board.line(1)
    board.hears(line, Received(POOLS), GONE)
    assert board.core.told == [("lost", 1)]


def test_between_the_decision_and_its_commit_a_link_that_is_to_be_closed_is_not_heard() -> None:
    board = Board()
    line = board.line(1)
    board.run(PERSIST, Close(board.peer(line), ErrorCode.NOT_PERMITTED))
    board.hears(line, Received(POOLS))
    assert (board.core.told, line.done) == ([], [])
    board.committed()
    assert line.done == [("close", ErrorCode.NOT_PERMITTED, "", "", 0)]


def test_a_peer_that_leaves_before_its_close_is_performed_is_not_told_as_lost() -> None:
    board = Board()
    line = board.line(1)
    board.run(PERSIST, Close(board.peer(line), ErrorCode.NOT_PERMITTED))
    board.hears(line, GONE)
    board.committed()
    assert (board.core.told, line.done) == ([], [])


def test_a_core_that_hangs_up_while_the_peers_loss_waits_is_not_told_of_it() -> None:
    board = Board()
    line = board.line(1)
    peer = board.peer(line)
    board.switchboard.answer(7, Done())
    board.core.decide["answer"] = lambda question_id, outcome: [Close(peer, ErrorCode.NORMAL)]
    board.hears(line, GONE)
    assert board.core.told == [("answer", 7, Done())]


def test_events_of_a_line_that_was_closed_are_ignored() -> None:
    board = Board()
    line = board.line(1)
    board.run(Close(board.peer(line), ErrorCode.NORMAL))
    board.hears(line, Received(POOLS), Answered(Done()), GONE)
    assert board.core.told == []


def test_when_a_link_is_lost_its_questions_fail_first_with_the_code_of_the_goodbye() -> None:
    board = Board()
    line = board.dialled()
    board.run(ask(5))
    board.hears(line, GONE)
    failed = Failed(ErrorCode.SHUTTING_DOWN, "good night")
    assert board.core.told == [("answer", 5, failed), ("lost", 1)]


def test_a_core_that_asks_and_then_closes_that_link_gets_its_outcome_at_once() -> None:
    board = Board()
    line = board.dialled()
    board.run(ask(5), Close(board.peer(line), ErrorCode.NORMAL))
    assert board.core.told == [("answer", 5, Failed(ErrorCode.CONNECTION_LOST, "we hung up"))]
    assert [done[0] for done in line.done] == ["request", "close"]  # type: ignore[index]


# --- questions ------------------------------------------------------------------------------------


def test_an_answer_comes_back_with_its_question_id() -> None:
    board = Board()
    line = board.dialled()
    board.run(ask(5))
    assert line.done == [("request", QueryPools()), "flush"]
    board.hears(line, Answered(Done(request_id=1)))
    assert board.core.told == [("answer", 5, Done(request_id=1))]


def test_an_ask_before_the_link_is_open_leaves_when_it_is() -> None:
    board, line = Board(), MemoryLine(1)
    board.run(ask(5))
    assert board.done == [("dial", HERE)]
    board.switchboard.dialled(HERE, line)
    board.hears(line, opened(Role.LICENSE_SERVER))
    assert line.done == [("request", QueryPools()), "flush"]


def test_a_dial_that_fails_is_told_with_its_reason() -> None:
    board = Board()
    board.run(Dial(HERE, 6))
    board.switchboard.dial_failed(HERE, Failed(ErrorCode.WRONG_ROLE, "not you"))
    board.turn()
    assert board.core.told == [("answer", 6, Failed(ErrorCode.WRONG_ROLE, "not you"))]


def test_a_question_times_out_by_the_ticks_and_not_by_the_cores_time() -> None:
    board = Board()
    board.dialled()
    board.switchboard.add(lambda now: [ask(5, seconds=5.0)])
    board.turn(now=1_000.0, ticks=10.0)
    assert board.switchboard.next_timeout == 15.0
    board.turn(now=9_999.0, ticks=14.9)
    assert board.core.told == []
    board.turn(now=1_000.0, ticks=15.0)
    assert board.core.told == [
        ("answer", 5, Failed(ErrorCode.UNANSWERED, "no answer came in time"))
    ]
    assert board.switchboard.next_timeout is None


# --- commits --------------------------------------------------------------------------------------


def test_nothing_leaves_before_what_was_decided_earlier_is_durable() -> None:
    board = Board()
    line = board.line(1)
    answer = Answer(Caller(board.peer(line), 3), Done())
    board.run(A, PERSIST, answer, B)
    assert board.done == [A, ("commit", [PERSIST])]
    assert line.done == []
    board.committed()
    assert line.done == [("send", Done(), 3), "flush"]
    assert board.done[2:] == [B]


def test_what_is_decided_during_a_commit_is_committed_next_in_one_batch() -> None:
    board = Board()
    board.run(PERSIST, A)
    board.run(MORE)
    board.run(PERSIST, B)
    assert board.done == [("commit", [PERSIST])]
    board.committed()
    assert board.done[1:] == [A, ("commit", [MORE, PERSIST])]
    board.committed()
    assert board.done[3:] == [B]


def test_a_single_answer_waits_while_a_commit_is_under_way() -> None:
    board = Board()
    line = board.line(1)
    board.core.decide["message"] = lambda caller, message: [Answer(caller, Done())]
    board.run(PERSIST)
    board.hears(line, Received(POOLS))
    assert line.done == []
    board.committed()
    assert line.done == [("send", Done(), 3), "flush"]


@settings(max_examples=40)
@given(
    st.lists(
        st.one_of(
            st.just("committed"),
            st.lists(st.sampled_from(["answer", "tell", "persist"]), min_size=1, max_size=3),
        ),
        max_size=6,
    )
)
def test_a_single_answer_leaves_as_it_would_have_left_through_the_queue(
    history: list[str | list[str]],
) -> None:
    """A second turn with an effect beside each answer takes the way through the queue."""
    quick, slow = _sent(history, beside=[]), _sent(history, beside=[A])
    assert quick == slow


def _sent(history: list[str | list[str]], beside: list[Effect]) -> list[object]:
    board = Board()
    line = board.line(1)
    peer = board.peer(line)
    kinds: dict[str, Effect] = {"tell": Tell(peer, NOTICE), "persist": PERSIST}
    for number, entry in enumerate(history, 1):
        if isinstance(entry, str):
            if any(isinstance(done, tuple) for done in board.done):
                board.done.clear()
                board.committed()
            continue
        answer = Answer(Caller(peer, number), Done())
        board.run(*(kinds.get(kind, answer) for kind in entry), *beside)
        line.done.append(number)
    return [done for done in line.done if done != "flush"]


# --- a disk that stalls ---------------------------------------------------------------------------


def stalled(effects: int) -> Board:
    """A board on which so many effects wait for a commit."""
    board = Board()
    board.run(PERSIST, *[A] * effects)
    assert len(board.switchboard.queue) == effects
    return board


def test_at_the_limit_a_request_is_still_taken() -> None:
    board = stalled(EFFECTS_WAITING_MAX)
    line = board.line(1)
    board.hears(line, Received(POOLS))
    assert len(board.core.told) == 1
    assert line.done == []


def test_above_the_limit_a_request_is_refused_at_once_and_not_told() -> None:
    board = stalled(EFFECTS_WAITING_MAX + 1)
    line = board.line(1)
    board.hears(line, Received(POOLS))
    assert board.core.told == []
    assert line.done == [("send", BUSY, 3), "flush"]


def test_above_the_limit_a_clients_step_ends_its_link_and_the_core_is_told_once() -> None:
    board = stalled(EFFECTS_WAITING_MAX + 1)
    line = board.line(1, Role.CLIENT)
    board.hears(line, Received(NOTICE), Received(NOTICE))
    assert board.core.told == [("lost", 1)]
    assert line.done == [("close", ErrorCode.BUSY, "", "", 1)]


def test_above_the_limit_a_daemons_notification_is_still_told() -> None:
    board = stalled(EFFECTS_WAITING_MAX + 1)
    line = board.line(1, Role.TERMINAL_SERVER)
    board.hears(line, Received(NOTICE))
    assert len(board.core.told) == 1


# --- turns ----------------------------------------------------------------------------------------


def test_a_core_is_never_called_while_it_is_being_called() -> None:
    board = Board()

    def start() -> list[Effect]:
        board.switchboard.answer(7, Done())
        board.turn()
        board.core.told.append("start returns")
        return []

    board.core.decide["start"] = start
    board.switchboard.add(board.core.on_start)
    board.turn()
    assert board.core.told == ["start", "start returns", ("answer", 7, Done())]


def test_what_the_hands_report_while_they_perform_is_told_in_the_same_turn() -> None:

    class Prompt(Board):
        def perform(self, effect: Effect) -> None:
            self.switchboard.answer(7, Done())
            self.turn()

    board = Prompt()
    board.run(A)
    assert board.core.told == [("answer", 7, Done())]


def test_a_deadline_runs_when_it_is_due_and_not_before() -> None:
    board = Board()
    for deadline in (None, 10.5, 10.0):
        board.core.deadline = deadline
        board.switchboard.run_deadline()
        board.turn(now=10.0)
    assert board.core.told == [("deadline", 10.0)]


def test_warp_clock_is_for_the_hands_and_no_core_is_told() -> None:
    board = Board()
    line = board.line(1)
    board.hears(line, Received(WarpClock(request_id=3)))
    assert board.core.told == []
    assert board.done == [Warp(Caller(board.peer(line), 3))]


def test_after_a_warp_what_is_due_happens_before_the_answer() -> None:
    board = Board()
    line = board.line(1)
    board.core.deadline = 10.0
    board.switchboard.warped(Caller(board.peer(line), 3))
    board.turn(now=9.0)
    assert board.core.told == []
    assert board.done == [ClockWarped(now=9.0)]


# --- the end --------------------------------------------------------------------------------------


def test_after_stop_deciding_no_step_runs_and_what_was_decided_is_still_said() -> None:
    board = Board()
    line = board.line(1)
    board.run(PERSIST, A)
    board.run(MORE, B)
    board.switchboard.stop_deciding()
    board.hears(line, Received(POOLS))
    board.committed()
    board.committed()
    assert board.core.told == []
    assert board.done == [("commit", [PERSIST]), A, ("commit", [MORE]), B]


def test_after_halt_nothing_is_run_performed_or_committed() -> None:
    board = Board()
    board.run(PERSIST, A)
    board.switchboard.halt()
    board.switchboard.add(board.core.on_start)
    board.turn()
    board.committed()
    assert board.core.told == []
    assert board.done == [("commit", [PERSIST])]


@pytest.mark.parametrize("more", [B, PERSIST])
def test_a_process_that_dies_while_it_performs_does_nothing_more(more: Effect) -> None:
    class Dying(Board):
        def perform(self, effect: Effect) -> None:
            super().perform(effect)
            self.switchboard.halt()

    board = Dying()
    line = board.line(1)
    tell = Tell(board.peer(line), NOTICE)
    board.switchboard.add(lambda now: [tell, A, more])
    board.switchboard.add(board.core.on_start)
    board.turn()
    assert board.done == [A]
    assert board.core.told == []
    assert line.done == [("send", NOTICE, 0)]


def test_a_fault_of_the_core_ends_the_turn_and_the_next_one_runs() -> None:
    board = Board()

    def broken(now: float) -> list[Effect]:
        raise KeyError("a fault")

    board.switchboard.add(broken)
    with pytest.raises(KeyError):
        board.turn()
    board.switchboard.add(board.core.on_start)
    board.turn()
    assert board.core.told == ["start"]
