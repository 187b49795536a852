"""One peer that the suite plays: it sends bytes, and reads the target's answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from clients.conformance import wire
from clients.conformance.target import Line, Transcript, Unmet
from clients.conformance.wire import Splitter, Unreadable
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AnnounceInventory,
    Goodbye,
    Heartbeat,
    Kind,
    Message,
    NewDenyList,
    PasswordStatement,
    Refused,
    Role,
)

M = TypeVar("M", bound=Message)

# These may come at any time, and are no answers.
AMBIENT = (Heartbeat, AnnounceInventory, NewDenyList, PasswordStatement)
AT_ONCE_SECONDS = 0.005
TAIL_BYTES = 64  # of a session, in a failure
FAULTS_OF_FORM = range(100, 105)


class Peer:
    """`label` names the peer in the transcript; the target may take `seconds` for an answer.

    `device_id` is that of a client's device, once it has shown its license.
    """

    def __init__(
        self,
        label: str,
        role: Role,
        line: Line,
        *,
        seconds: float,
        now: Callable[[], float],
        said: Transcript,
    ) -> None:
        self.name = line.name
        self._now = now
        self._label = label
        self.role = role
        self.certificate = line.certificate
        self.own_certificate = line.own_certificate
        self.device_id = bytes(32)
        self.ended = False
        self.session_bytes = bytearray()
        self.longest_chunk = 0
        self.bodies: list[bytes] = []
        self._line = line
        self._seconds = seconds
        self._said = said
        self._splitter = Splitter()
        self._heard: deque[Message] = deque()
        self.last_request = 0

    # --- saying -----------------------------------------------------------------------------------

    def say_bytes(self, data: bytes) -> None:
        self._said.note(self._label, False, data)
        self._line.write(data)

    def say(self, *messages: Message) -> None:
        """Sends notifications and steps, in one write."""
        self.say_bytes(b"".join(wire.message_bytes(message) for message in messages))

    def say_session_bytes(self, data: bytes) -> None:
        self.say_bytes(wire.frame(data, wire.SESSION_KIND))

    def request(self, message: Message) -> int:
        """Sends a request; returns its id."""
        self.last_request += 1
        self.say_bytes(wire.message_bytes(message, self.last_request))
        return self.last_request

    def answer(self, request: Message, answer: Message) -> None:
        self.say_bytes(wire.message_bytes(answer, request.request_id))

    def hang_up(self) -> None:
        self._line.close()

    # --- hearing ----------------------------------------------------------------------------------

    def next(self, seconds: float | None = None, ambient: bool = False) -> Message | None:
        """The next message; None when none comes in time, or the link has ended."""
        deadline = self._now() + (self._seconds if seconds is None else seconds)
        while True:
            while self._heard:
                message = self._heard.popleft()
                if ambient or not isinstance(message, AMBIENT):
                    return message
            if not self._read(deadline - self._now()):
                return None

    def hear(self, kind: type[M], seconds: float | None = None) -> M:
        """The next message. Raises Unmet when it is not of this kind."""
        message = self.next(seconds, ambient=issubclass(kind, AMBIENT))
        while issubclass(kind, AMBIENT) and message is not None and not isinstance(message, kind):
            message = self.next(seconds, ambient=True)
        if not isinstance(message, kind):
            raise Unmet(f"expected {kind.__name__}, {self._came(message)}")
        return message

    def ask(self, message: Message) -> Message:
        """Sends a request, and returns its answer, which may be a Refused."""
        answer = self.expect_answer(self.request(message))
        if not isinstance(answer, Refused) and type(answer).__name__ not in message.entry.answers:
            raise Unmet(f"{type(answer).__name__} is no answer to {type(message).__name__}")
        return answer

    def expect_answer(self, request_id: int) -> Message:
        """The next message. Raises Unmet when it is no answer to this request."""
        answer = self.next_answer()
        if answer.request_id != request_id:
            raise Unmet(f"expected an answer to request {request_id}, not to {answer.request_id}")
        return answer

    def next_answer(self) -> Message:
        """The next message. Raises Unmet when it is no answer."""
        answer = self.next()
        if answer is None or answer.entry.kind is not Kind.ANSWER:
            raise Unmet(f"expected an answer, {self._came(answer)}")
        return answer

    def ask_for(self, kind: type[M], message: Message) -> M:
        """Sends a request, and returns its answer. Raises Unmet when it is not of this kind."""
        answer = self.ask(message)
        if not isinstance(answer, kind):
            raise Unmet(f"expected {kind.__name__}, {self._came(answer)}")
        return answer

    def expect_refused(self, message: Message, *codes: ErrorCode) -> Refused:
        """Sends a request. Raises Unmet unless it is refused with one of these codes."""
        refused = self.ask_for(Refused, message)
        self._check_code("Refused", refused.code, codes)
        return refused

    def expect_goodbye(self, *codes: ErrorCode, seconds: float | None = None) -> Goodbye:
        """The target says Goodbye with one of these codes, and sends nothing after it. Raises Unmet
        for another code, and for a link that ends without a Goodbye."""
        goodbye = self.hear_past(Goodbye, seconds)
        self._check_code("Goodbye", goodbye.code, codes)
        self._expect_nothing_follows()
        return goodbye

    def expect_goodbye_and_end(self, code: ErrorCode, seconds: float) -> None:
        """The target says Goodbye, and closes the link within these seconds although we do not."""
        goodbye = self.hear_past(Goodbye)
        self._check_code("Goodbye", goodbye.code, (code,))
        message = self.next(seconds, ambient=True)
        if message is not None or not self.ended:
            raise Unmet(f"expected the end of the link after Goodbye, {self._came(message)}")

    def hear_past(self, kind: type[M], seconds: float | None = None) -> M:
        """The next message of this kind; others before it are skipped."""
        ambient = issubclass(kind, AMBIENT)
        message = self.next(seconds, ambient)
        while message is not None and not isinstance(message, kind):
            message = self.next(seconds, ambient)
        if message is None:
            raise Unmet(f"expected {kind.__name__}, {self._came(None)}")
        return message

    def expect_end(self) -> None:
        """The target ends the link, with or without a Goodbye."""
        while self.next() is not None:
            continue
        if not self.ended:
            raise Unmet("expected the end of the link, it is open")

    def expect_silence(self, seconds: float) -> None:
        """Nothing but heartbeats comes, and the link stays open."""
        message = self.next(seconds)
        if message is not None or self.ended:
            raise Unmet(f"expected silence for {seconds:g} s, {self._came(message)}")

    def expect_no_fault(self, seconds: float) -> Message | None:
        """The next message, None for none. Raises Unmet for a Goodbye with a code of
        FAULTS_OF_FORM: the target did not understand our bytes."""
        message = self.next(seconds)
        if isinstance(message, Goodbye) and message.code in FAULTS_OF_FORM:
            raise Unmet(f"expected the message to be understood, {self._came(message)}")
        return message

    def hear_session_bytes(self, wanted: bytes) -> None:
        """Reads session bytes until `wanted` is among them, for as long as the target sends
        some."""
        searched = 0
        while self.session_bytes.find(wanted, searched) < 0:
            searched = max(0, len(self.session_bytes) - len(wanted))
            if not self._read(self._seconds):
                heard, end = len(self.session_bytes), bytes(self.session_bytes[-TAIL_BYTES:])
                raise Unmet(
                    f"expected session bytes with {wanted!r}, {self._came(None)} after {heard} of"
                    f" them: {end!r}"
                )

    def expect_same(self, wanted: object, came: object) -> None:
        if wanted != came:
            raise Unmet(f"expected {wanted}, came {came}")

    # --- inside -----------------------------------------------------------------------------------

    def _read(self, seconds: float) -> bool:
        """Reads what comes next; False when nothing does."""
        if self.ended or seconds <= 0:
            return False
        data = self._line.read(seconds)
        if data is None:
            return False
        self._said.note(self._label, True, data)
        if not data:
            self.ended = True
            return False
        try:
            for kind, body in self._splitter.feed(data):
                if kind == wire.SESSION_KIND:
                    self.session_bytes += body
                    self.longest_chunk = max(self.longest_chunk, len(body))
                else:
                    self.bodies.append(body)
                    self._heard.append(wire.read_message(body))
        except Unreadable as error:
            raise Unmet(f"expected messages of the table: {error}") from None
        return True

    def _expect_nothing_follows(self) -> None:
        """The target may wait for us to close after its Goodbye, so we close."""
        message = self.next(AT_ONCE_SECONDS, ambient=True)
        if message is not None:
            raise Unmet(f"expected nothing after Goodbye, {self._came(message)}")
        self.hang_up()

    def _check_code(self, what: str, code: ErrorCode, codes: tuple[ErrorCode, ...]) -> None:
        if codes and code not in codes:
            names = " or ".join(wanted.name for wanted in codes)
            raise Unmet(f"expected {what} with {names}, came {code.name}")

    def _came(self, message: Message | None) -> str:
        if isinstance(message, Goodbye | Refused):
            return f"came {type(message).__name__} with {message.code.name}: {message.detail}"
        if message is not None:
            return f"came {type(message).__name__}"
        return "the link ended without a word" if self.ended else "nothing came in time"
