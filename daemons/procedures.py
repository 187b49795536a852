"""A decision that waits, told from top to bottom by one generator.

`yield` means one thing: wait here, and the world may have moved on when it returns. What is to be
done is not yielded but handed to `do`, so that a `finally` may still do something when the
generator is closed, and so that whoever reads sees each point where others may run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable
from typing import Any, Generic, TypeAlias, TypeVar

from daemons.effects import (
    Ask,
    Effect,
    Endpoint,
    Failed,
    LookUp,
    Outcome,
    ProgramFailed,
    ProgramStarted,
    StartProgram,
    Verified,
    Verify,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Message, Refused

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class Promise(Generic[T]):
    """Something that has not happened yet; any number of procedures may wait for it."""

    __slots__ = ("_outcome", "is_settled", "waiting")
    _outcome: T

    def __init__(self) -> None:
        self.is_settled = False
        self.waiting: list[_Running] = []

    @property
    def outcome(self) -> T:
        return self._outcome

    def keep(self, outcome: T) -> None:
        """It has happened; `Procedures.settle` also goes on with whoever waits."""
        self._outcome = outcome
        self.is_settled = True


class Question(Promise[T]):
    """A promise that an effect fulfils: it is asked when somebody first waits for it."""

    __slots__ = ("effect", "read", "ticket")

    def __init__(self, effect: Callable[[int], Effect], read: Callable[[Outcome], T]) -> None:
        super().__init__()
        self.effect = effect
        self.read = read
        self.ticket = 0


Wait: TypeAlias = tuple[Promise[Any], ...]
Procedure: TypeAlias = Generator[Wait, None, T]


class _Running:
    __slots__ = ("generator", "interruption", "owner", "questions", "waits_for")

    def __init__(self, owner: Hashable, generator: Procedure[None]) -> None:
        self.owner = owner
        self.generator = generator
        self.interruption: Exception | None = None
        self.questions: list[Question[Any]] = []
        self.waits_for: Wait = ()


class Procedures:
    """Runs the procedures of one core. Each has an owner, a link or a session: one at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._last_ticket = 0
        self._questions: dict[int, Question[Any]] = {}
        self._running: dict[Hashable, _Running] = {}
        self._ready: deque[_Running] = deque()
        self._decided: list[Effect] = []
        self._is_running = False
        self._current: _Running | None = None

    def __len__(self) -> int:
        return len(self._running)

    # --- for procedures -----------------------------------------------------------------------

    def do(self, *effects: Effect) -> None:
        """Decided, in this order. Only while a procedure runs."""
        self._decided += effects

    # --- for the core -------------------------------------------------------------------------

    def start(self, owner: Hashable, generator: Procedure[None], now: float) -> list[Effect]:
        assert owner not in self._running, owner
        running = self._running[owner] = _Running(owner, generator)
        self._ready.append(running)
        return self.go_on(now)

    def settle(self, promise: Promise[T], outcome: T, now: float) -> list[Effect]:
        """It has happened: go on with all who wait for it, in the order in which they came."""
        promise.keep(outcome)
        for running in promise.waiting[:]:
            self._wake(running)
        return self.go_on(now)

    def on_answer(self, ticket: int, outcome: Outcome, now: float) -> list[Effect]:
        """Nothing follows for a question whose asker was stopped."""
        question = self._questions.pop(ticket, None)
        return [] if question is None else self.settle(question, question.read(outcome), now)

    def interrupt(self, owner: Hashable, why: Exception, now: float) -> list[Effect]:
        """Raise this where the procedure waits."""
        if running := self._running.get(owner):
            running.interruption = why
            self._wake(running)
        return self.go_on(now)

    def stop(self, owner: Hashable, now: float) -> list[Effect]:
        """Its client is lost: what it took is given back by its `finally` clauses."""
        running = self._running.pop(owner, None)
        if running is None or running is self._current:  # it hangs up itself, and ends
            return []
        self._leave(running)
        self.now = now
        running.generator.close()
        self._withdraw(running)
        return self.go_on(now)

    def go_on(self, now: float) -> list[Effect]:
        """Run who is ready. Inside a procedure nothing comes of this: the outermost call runs all,
        for a generator cannot be resumed while it runs."""
        if self._is_running:
            return []
        self.now = now
        self._is_running = True
        try:
            while self._ready:
                self._current = self._ready.popleft()
                self._step(self._current)
        finally:
            self._is_running = False
            self._current = None
        decided, self._decided = self._decided, []
        return decided

    def next_ticket(self) -> int:
        self._last_ticket += 1
        return self._last_ticket

    def whereabouts(self) -> dict[Hashable, list[str]]:
        """Where each procedure waits, the outermost first: for whoever looks for a fault."""
        return {running.owner: _frames(running.generator) for running in self._running.values()}

    # --- within -------------------------------------------------------------------------------

    def _step(self, running: _Running) -> None:
        if self._running.get(running.owner) is not running:
            return  # stopped while it was ready
        try:
            why, running.interruption = running.interruption, None
            waits = running.generator.throw(why) if why else next(running.generator)
            while any(promise.is_settled for promise in waits):
                waits = next(running.generator)
        except StopIteration:
            if self._running.get(running.owner) is running:
                del self._running[running.owner]
            self._withdraw(running)
            return
        if self._running.get(running.owner) is not running:
            # It was stopped by what it did itself, and waits all the same.
            running.generator.close()
            self._withdraw(running)
            return
        for promise in waits:
            if isinstance(promise, Question) and not promise.ticket:
                self._ask(running, promise)
            promise.waiting.append(running)
        running.waits_for = waits

    def _ask(self, running: _Running, question: Question[Any]) -> None:
        question.ticket = self.next_ticket()
        self._questions[question.ticket] = question
        running.questions.append(question)
        self._decided.append(question.effect(question.ticket))

    def _wake(self, running: _Running) -> None:
        self._leave(running)
        self._ready.append(running)

    def _leave(self, running: _Running) -> None:
        for promise in running.waits_for:
            promise.waiting.remove(running)
        running.waits_for = ()

    def _withdraw(self, running: _Running) -> None:
        for question in running.questions:
            self._questions.pop(question.ticket, None)


def _frames(generator: Any) -> list[str]:
    found: list[str] = []
    while generator is not None and getattr(generator, "gi_frame", None) is not None:
        found.append(f"{generator.gi_code.co_qualname}:{generator.gi_frame.f_lineno}")
        generator = generator.gi_yieldfrom
    return found


# --- what procedures wait for -----------------------------------------------------------------


def outcome_of(promise: Promise[T]) -> Procedure[T]:
    if not promise.is_settled:
        yield (promise,)
    return promise.outcome


def either(*promises: Promise[Any]) -> Procedure[None]:
    """Wait until one of these is settled; what else was asked stays asked."""
    if not any(promise.is_settled for promise in promises):
        yield promises


def question(
    endpoint: Endpoint, message: Message, answer: type[M], seconds: float
) -> Question[M | Refused | Failed]:
    def read(outcome: Outcome) -> M | Refused | Failed:
        if isinstance(outcome, answer | Refused | Failed):
            return outcome
        return Failed(ErrorCode.UNANSWERED, f"{type(outcome).__name__} is no answer to this")

    return Question(lambda ticket: Ask(endpoint, message, ticket, seconds), read)


def ask(
    endpoint: Endpoint, message: Message, answer: type[M], seconds: float
) -> Procedure[M | Refused | Failed]:
    return outcome_of(question(endpoint, message, answer, seconds))


def verify(user_name: str, password: bytes) -> Procedure[Verified]:
    return outcome_of(Question(lambda ticket: Verify(user_name, password, ticket), _verified))


def look_up(user_name: str) -> Procedure[Verified]:
    return outcome_of(Question(lambda ticket: LookUp(user_name, ticket), _verified))


def start_program(
    effect: Callable[[int], StartProgram],
) -> Procedure[ProgramStarted | ProgramFailed]:
    return outcome_of(Question(effect, _started))


def _verified(outcome: Outcome) -> Verified:
    assert isinstance(outcome, Verified), outcome
    return outcome


def _started(outcome: Outcome) -> ProgramStarted | ProgramFailed:
    assert isinstance(outcome, ProgramStarted | ProgramFailed), outcome
    return outcome


class Inbox:
    """What a procedure expects of its client. What it does not expect is out of order."""

    def __init__(self) -> None:
        self._kind: type[Message] | None = None
        self._promise: Promise[Any] = Promise()

    def expect(self, kind: type[M]) -> Promise[M]:
        self._kind = kind
        self._promise = promise = Promise[M]()
        return promise

    def hear(self, kind: type[M]) -> Procedure[M]:
        return outcome_of(self.expect(kind))

    def take(self, message: Message) -> Promise[Any] | None:
        """The promise that this message fulfils; None when it is not expected now."""
        if self._kind is None or not isinstance(message, self._kind):
            return None
        self._kind = None
        return self._promise
