"""Runs decisions that wait: each is one generator, a procedure, that reads from top to bottom.

A `yield` only waits, and the world may have changed when it returns. Effects are not yielded but
handed to `do`, so that a `finally` may still decide when its procedure is stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable
from typing import Any, Generic, TypeAlias, TypeVar

from daemons.effects import (
    Ask,
    Challenge,
    Challenged,
    Effect,
    Endpoint,
    Failed,
    NotProved,
    NotTaken,
    Outcome,
    PamAnswer,
    ProgramFailed,
    ProgramStarted,
    Prompted,
    Prove,
    Proved,
    StartProgram,
    Take,
    Taken,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Message, Refused

T = TypeVar("T")
M = TypeVar("M", bound=Message)
N = TypeVar("N", bound=Message)


class Promise(Generic[T]):
    """An outcome that is still to come. Any number of procedures may wait for it; `outcome` is
    there once `is_settled`, see `Procedures.settle`."""

    __slots__ = ("is_settled", "outcome", "waiting")
    outcome: T

    def __init__(self) -> None:
        self.is_settled = False
        self.waiting: list[_Running] = []

    @property
    def is_awaited(self) -> bool:
        return bool(self.waiting)


class Question(Promise[T]):
    """A promise that the outcome of an effect settles. The effect is decided when a procedure first
    waits for it."""

    __slots__ = ("effect", "read", "question_id")

    def __init__(self, effect: Callable[[int], Effect], read: Callable[[Outcome], T]) -> None:
        super().__init__()
        self.effect = effect
        self.read = read
        self.question_id = 0


Wait: TypeAlias = tuple[Promise[Any], ...]
Procedure: TypeAlias = Generator[Wait, None, T]


class _Running:
    __slots__ = ("generator", "has_ended", "interruption", "is_ready", "owner", "waits_for")

    def __init__(self, owner: Hashable, generator: Procedure[None]) -> None:
        self.owner = owner
        self.generator = generator
        self.interruption: Exception | None = None
        self.is_ready = False
        self.has_ended = False  # or was stopped: it is its owner's no more
        self.waits_for: Wait = ()


class Procedures:
    """The procedures of one core. Each has an owner, and each owner one procedure at a time.

    A call from inside a procedure (`start`, `settle`, `interrupt`, `stop`) only queues and returns
    no effects: a generator cannot be resumed while it runs. The outermost call runs all that is
    ready and returns everything decided meanwhile, in order.
    """

    def __init__(self) -> None:
        self.now = 0.0
        """Unix seconds. Ask again after each wait: procedures keep deadlines, never `now`."""
        self._last_question_id = 0
        self._questions: dict[int, Question[Any]] = {}
        self._running: dict[Hashable, _Running] = {}
        self._ready: deque[_Running] = deque()
        self._decided: list[Effect] = []
        self._is_running = False
        self._current: _Running | None = None

    # --- for procedures -----------------------------------------------------------------------

    def do(self, *effects: Effect) -> None:
        """Decide these, in this order. Only for procedures: other code returns its effects."""
        self._decided += effects

    # --- for the core -------------------------------------------------------------------------

    def start(self, owner: Hashable, generator: Procedure[None], now: float) -> list[Effect]:
        assert owner not in self._running, owner
        running = self._running[owner] = _Running(owner, generator)
        self._wake(running)
        return self._run(now)

    def settle(self, promise: Promise[T], outcome: T, now: float) -> list[Effect]:
        """Go on with the procedures that wait for this, in the order in which they came."""
        assert not promise.is_settled
        promise.outcome = outcome
        promise.is_settled = True
        for running in promise.waiting[:]:
            self._wake(running)
        return self._run(now)

    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        """Nothing follows when the procedures that asked have ended or were stopped."""
        question = self._questions.pop(question_id, None)
        return [] if question is None else self.settle(question, question.read(outcome), now)

    def interrupt(self, owner: Hashable, why: Exception, now: float) -> list[Effect]:
        """Raise this where the owner's procedure waits; nothing follows when it has none."""
        if running := self._running.get(owner):
            running.interruption = why
            self._wake(running)
        return self._run(now)

    def stop(self, owner: Hashable, now: float) -> list[Effect]:
        """End the owner's procedure where it waits: its `finally` clauses give back what it took.

        A procedure that stops itself goes on to its next wait, and ends there.
        """
        running = self._running.pop(owner, None)
        if running is None:
            return []
        running.has_ended = True
        if running is self._current:
            return []
        _leave(running)
        return self._run(now, stopped=running)

    def next_question_id(self) -> int:
        self._last_question_id += 1
        return self._last_question_id

    def whereabouts(self) -> dict[Hashable, list[str]]:
        """The function and line at which each procedure waits, with its callers before it."""
        return {running.owner: _frames(running.generator) for running in self._running.values()}

    # --- running ------------------------------------------------------------------------------

    def _wake(self, running: _Running) -> None:
        _leave(running)
        if not running.is_ready:
            running.is_ready = True
            self._ready.append(running)

    def _run(self, now: float, stopped: _Running | None = None) -> list[Effect]:
        is_outermost = not self._is_running
        if is_outermost:
            self.now = now
            self._is_running = True
        try:
            if stopped is not None:
                stopped.generator.close()
            while is_outermost and self._ready:
                self._current = self._ready.popleft()
                self._step(self._current)
                self._current = None
        finally:
            if is_outermost:
                self._is_running = False
        if not is_outermost:
            return []
        decided, self._decided = self._decided, []
        return decided

    def _step(self, running: _Running) -> None:
        """Resume it, and let it run to its next wait or its end."""
        running.is_ready = False
        if running.has_ended:
            return  # stopped while it was ready
        if running.waits_for:  # it interrupted itself, and has come to its next wait
            _leave(running)
        generator = running.generator
        try:
            if why := running.interruption:
                running.interruption = None
                waits = generator.throw(why)
            else:
                waits = next(generator)
            while _has_settled(waits) and not running.has_ended:
                waits = next(generator)
        except StopIteration:
            if not running.has_ended:
                running.has_ended = True
                del self._running[running.owner]
            return
        if running.has_ended:
            generator.close()
        else:
            self._wait(running, waits)

    def _wait(self, running: _Running, waits: Wait) -> None:
        running.waits_for = waits
        for promise in waits:
            promise.waiting.append(running)
            if isinstance(promise, Question) and not promise.question_id:
                promise.question_id = self.next_question_id()
                self._questions[promise.question_id] = promise
                self._decided.append(promise.effect(promise.question_id))


def _leave(running: _Running) -> None:
    for promise in running.waits_for:
        promise.waiting.remove(running)
    running.waits_for = ()


def _has_settled(waits: Wait) -> bool:
    for promise in waits:  # most wait for one: a loop is quicker than `any`
        if promise.is_settled:
            return True
    return False


def _frames(procedure: Procedure[None]) -> list[str]:
    frames: list[str] = []
    waiting: Any = procedure  # the procedure, then what it yields from, inwards
    while (frame := getattr(waiting, "gi_frame", None)) is not None:
        frames.append(f"{waiting.gi_code.co_qualname}:{frame.f_lineno}")
        waiting = waiting.gi_yieldfrom
    return frames


# --- what procedures wait for -----------------------------------------------------------------


def outcome_of(promise: Promise[T]) -> Procedure[T]:
    yield (promise,)
    return promise.outcome


def question(
    endpoint: Endpoint, message: Message, answer: type[M], seconds: float
) -> Question[M | Refused | Failed]:
    """An answer of another type counts as Failed(UNANSWERED)."""

    def read(outcome: Outcome) -> M | Refused | Failed:
        if isinstance(outcome, (answer, Refused, Failed)):
            return outcome
        return Failed(ErrorCode.UNANSWERED, f"{type(outcome).__name__} is no answer to this")

    return Question(lambda question_id: Ask(endpoint, message, question_id, seconds), read)


def ask(
    endpoint: Endpoint, message: Message, answer: type[M], seconds: float
) -> Procedure[M | Refused | Failed]:
    return outcome_of(question(endpoint, message, answer, seconds))


def challenge(effect: Callable[[int], Challenge]) -> Procedure[Challenged | NotProved]:
    return outcome_of(Question(effect, _challenged))


def prove(
    effect: Callable[[int], Prove | PamAnswer],
) -> Procedure[Prompted | Proved | NotProved]:
    return outcome_of(Question(effect, _proved))


def take(effect: Callable[[int], Take]) -> Procedure[Taken | NotTaken]:
    return outcome_of(Question(effect, _taken))


def start_program(
    effect: Callable[[int], StartProgram],
) -> Procedure[ProgramStarted | ProgramFailed]:
    return outcome_of(Question(effect, _started))


def _challenged(outcome: Outcome) -> Challenged | NotProved:
    assert isinstance(outcome, Challenged | NotProved), outcome
    return outcome


def _proved(outcome: Outcome) -> Prompted | Proved | NotProved:
    assert isinstance(outcome, Prompted | Proved | NotProved), outcome
    return outcome


def _taken(outcome: Outcome) -> Taken | NotTaken:
    assert isinstance(outcome, Taken | NotTaken), outcome
    return outcome


def _started(outcome: Outcome) -> ProgramStarted | ProgramFailed:
    assert isinstance(outcome, ProgramStarted | ProgramFailed), outcome
    return outcome


class Inbox:
    """The one message that a procedure expects of its client now. Messages that come unexpected are
    not kept: the core treats them as out of order."""

    def __init__(self) -> None:
        self._kinds: tuple[type[Message], ...] = ()
        self._promise: Promise[Any] = Promise()

    def expect(self, kind: type[M]) -> Promise[M]:
        promise: Promise[M] = Promise()  # Promise[M]() takes 3 µs
        self._kinds, self._promise = (kind,), promise
        return promise

    def hear(self, kind: type[M]) -> Procedure[M]:
        return outcome_of(self.expect(kind))

    def hear_either(self, kind: type[M], other: type[N]) -> Procedure[M | N]:
        promise: Promise[M | N] = Promise()
        self._kinds, self._promise = (kind, other), promise
        return outcome_of(promise)

    def take(self, message: Message) -> Promise[Any] | None:
        """The promise that this message settles; None when it is not expected now."""
        if not isinstance(message, self._kinds):
            return None
        self._kinds = ()
        return self._promise
