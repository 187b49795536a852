"""Two nodes with scripted cores on the simulated network: what their cores are told, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from daemons.effects import (
    Answer,
    Ask,
    Caller,
    Close,
    Core,
    Effect,
    Endpoint,
    Failed,
    Outcome,
    Peer,
    Persist,
    Record,
)
from tests.simulation import faults
from tests.simulation.network import Network
from tests.simulation.node import Node
from tests.simulation.world import START, Violation, World
from tsproto.errors import ErrorCode
from tsproto.messages import AcquireLicense, Joined, JoinFarm, Message, Role

DIRECTORY = Endpoint(Role.SESSION_DIRECTORY, "10.0.0.1", 5600, "sd")
JOIN = JoinFarm(address="10.0.0.2", port=5600, incarnation=bytes(16))
ASK = Ask(DIRECTORY, JOIN, 5, 5.0)
Reply = Callable[[Caller, Message], list[Effect]]


class Row(Record):
    table: ClassVar[str] = "rows"
    key: ClassVar[tuple[str, ...]] = ("number",)

    number: int


PERSIST = Persist(put=(Row(number=1),))


class ScriptedCore:
    """Decides `first` at its start and `next_steps` after each outcome; `told` has the moments."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.told: list[tuple[float, object]] = []
        self.first: list[Effect] = []
        self.reply: Reply = lambda caller, message: [Answer(caller, Joined(generation=bytes(16)))]
        self.on_open: Callable[[Peer], list[Effect]] = lambda peer: []
        self.deadline: float | None = None

    def _tell(self, what: object) -> list[Effect]:
        self.told.append((round(self.now() - START, 3), what))
        return []

    def on_start(self, now: float) -> list[Effect]:
        return self.first

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        return self.on_open(peer)

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        return self.reply(caller, message)

    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        return self._tell((question_id, outcome))

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        return self._tell(("lost", peer.name))

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        return []

    def next_deadline(self) -> float | None:
        return self.deadline

    def on_deadline(self, now: float) -> list[Effect]:
        self.deadline = None
        return self._tell(("deadline", now - START))


class ScriptedKind:
    def __init__(self, role: Role, core: ScriptedCore) -> None:
        self.role = role
        self.core = core

    def make_core(self, node: Node) -> Core:
        return self.core

    def perform(self, node: Node, effect: Effect) -> None:
        raise AssertionError(effect)

    def on_crash(self, node: Node) -> None: ...


class Pair:
    """A terminal server `ts` that asks, and a directory `sd` that answers."""

    def __init__(self) -> None:
        self.world = World(seed=1)
        self.network = Network(self.world)
        self.asking = ScriptedCore(lambda: self.world.now)
        self.asked = ScriptedCore(lambda: self.world.now)
        self.sd = self._node("sd", "10.0.0.1", Role.SESSION_DIRECTORY, self.asked)
        self.ts = self._node("ts", "10.0.0.2", Role.TERMINAL_SERVER, self.asking)

    def _node(self, name: str, host: str, role: Role, core: ScriptedCore) -> Node:
        return Node(self.world, self.network, "sim", name, host, ScriptedKind(role, core))

    def run(self, seconds: float) -> list[object]:
        """What the asking core was told until then."""
        self.world.run_until(START + seconds)
        return [what for _, what in self.asking.told]


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    pair.asking.first = [ASK]
    pair.sd.start()
    return pair


def test_an_ask_is_answered(pair: Pair) -> None:
    pair.ts.start()
    assert pair.run(1.0) == [(5, Joined(request_id=1, generation=bytes(16)))]


def test_a_core_that_asks_and_then_closes_that_link_gets_its_outcome_at_once(pair: Pair) -> None:
    pair.asked.reply = lambda caller, message: []
    pair.asking.on_open = lambda peer: [
        Ask(DIRECTORY, JOIN, 6, 5.0),
        Close(peer, ErrorCode.NORMAL),
    ]
    pair.ts.start()
    hung_up = Failed(ErrorCode.CONNECTION_LOST, "we hung up")
    assert pair.run(0.1) == [(5, hung_up), (6, hung_up)]


def test_the_code_of_a_peers_goodbye_reaches_the_core(pair: Pair) -> None:
    pair.asked.reply = lambda caller, message: [
        Close(caller.peer, ErrorCode.NOT_PERMITTED, "not you")
    ]
    pair.ts.start()
    assert pair.run(0.1) == [(5, Failed(ErrorCode.NOT_PERMITTED, "not you")), ("lost", "sd")]


def test_an_ask_over_a_cut_network_fails_when_its_dial_does(pair: Pair) -> None:
    pair.network.cut("sd", "ts", one_way=True)
    pair.ts.start()
    assert pair.run(4.0) == [(5, Failed(ErrorCode.UNREACHABLE))]


def test_what_is_sent_over_a_cut_arrives_when_it_is_healed(pair: Pair) -> None:
    pair.ts.start()
    pair.run(0.004)
    pair.network.cut("sd", "ts", one_way=True)
    assert pair.run(3.0) == []
    pair.network.heal("ts", "sd")
    assert pair.run(3.1) == [(5, Joined(request_id=1, generation=bytes(16)))]


def test_a_process_that_stands_still_notices_afterwards_what_happened(pair: Pair) -> None:
    pair.ts.start()
    pair.run(0.004)
    faults.stop(pair.ts, 2.0)
    assert pair.run(1.9) == []
    assert pair.run(2.1) == [(5, Joined(request_id=1, generation=bytes(16)))]
    [(moment, _)] = pair.asking.told
    assert 2.004 <= moment < 2.1


def test_a_process_that_stood_still_notices_the_end_of_a_link_that_it_had_dialled(
    pair: Pair,
) -> None:
    pair.ts.start()
    faults.stop(pair.ts, 2.0)
    pair.run(1.0)
    pair.sd.crash()
    assert pair.run(1.9) == []
    pair.run(2.1)
    [(moment, outcome)] = pair.asking.told
    assert isinstance(outcome, tuple)
    assert outcome[1].code is ErrorCode.CONNECTION_LOST
    assert 2.0 <= moment < 2.1


def test_a_process_that_dies_while_it_stands_still_notices_nothing_more(pair: Pair) -> None:
    pair.ts.start()
    pair.run(0.004)
    faults.stop(pair.ts, 2.0)
    pair.ts.crash()
    assert pair.run(3.0) == []


@pytest.mark.parametrize("ahead", [-100.0, 0.0, 100.0])
def test_a_core_acts_by_its_machines_clock_and_gives_up_by_the_ticks(
    pair: Pair, ahead: float
) -> None:
    pair.asked.reply = lambda caller, message: []
    pair.ts.clock.ahead = ahead
    pair.asking.deadline = START + ahead + 3.0
    pair.ts.start()
    pair.run(6.0)
    deadline, (given_up_at, given_up) = pair.asking.told
    assert deadline == (3.0, ("deadline", ahead + 3.0))
    assert given_up_at == 5.0
    assert given_up == (5, Failed(ErrorCode.UNANSWERED, "no answer came in time"))


def test_a_disk_keeps_what_was_committed_and_takes_back_a_backup(pair: Pair) -> None:
    pair.asking.first = [PERSIST]
    backup = pair.ts.disk.backup()
    pair.ts.start()
    pair.run(1.0)
    assert pair.ts.disk.rows() == frozenset({Row(number=1)})
    pair.ts.disk.restore(backup)
    assert pair.ts.disk.rows() == frozenset()


def test_an_answer_waits_for_a_slow_disk(pair: Pair) -> None:
    pair.sd.disk.commit_seconds = (3.0, 3.0)
    pair.asked.reply = lambda caller, message: [
        PERSIST,
        Answer(caller, Joined(generation=bytes(16))),
    ]
    pair.ts.start()
    assert pair.run(2.9) == []
    assert len(pair.run(3.1)) == 1


# --- the witness ----------------------------------------------------------------------------------


def test_the_witness_finds_a_second_outcome(pair: Pair) -> None:
    pair.ts.start()
    pair.run(1.0)
    with pytest.raises(Violation, match=r"^ts: question 5 has a second outcome: "):
        pair.ts.answer(5, Failed(ErrorCode.UNANSWERED))


def test_the_witness_finds_a_question_without_an_outcome(pair: Pair) -> None:
    pair.asked.reply = lambda caller, message: []
    pair.ts.start()
    pair.run(1.0)
    pair.world.now += 5.1
    with pytest.raises(Violation, match=r"^ts: question 5 has no outcome$"):
        pair.ts.witness.check_questions()


def test_the_witness_finds_a_message_of_a_link_that_the_core_closed(pair: Pair) -> None:
    peer = Peer(77, Role.CLIENT, "laptop", "", 0)
    acquire = AcquireLicense(
        device_id=bytes(32), device_name="laptop", user_name="ann", product="x", product_version=1
    )
    pair.ts.start()
    with pytest.raises(Violation, match=r"^ts: AcquireLicense comes from a link that is gone$"):
        pair.ts.witness.on_message(Caller(peer), acquire, 0.0)
