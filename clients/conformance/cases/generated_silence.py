"""For every state: silence until the deadline, and heartbeats alone. Generated from the table's
states; a new state without a deadline here fails a test."""

from __future__ import annotations

from collections.abc import Iterator

from clients.conformance.acting import CaseContext
from clients.conformance.case import Case, Script
from clients.conformance.peer import Peer
from clients.conformance.reach import Spot, diallers, reach, states
from clients.conformance.target import Unmet
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import Heartbeat, LinkState, Role

SLACK_SECONDS = 2.0
BEAT_SECONDS = 10.0

# The deadline of a silent peer in each state: its requirement, its seconds, its code.
SILENCE = {
    LinkState.OPENING: ("TIME-01", limits.OPENING_SECONDS, ErrorCode.TIMED_OUT),
    LinkState.LICENSING: ("TIME-03", limits.LICENSING_SECONDS, ErrorCode.TIMED_OUT),
    LinkState.LOGON: ("BEAT-02", limits.SILENT_SECONDS, ErrorCode.PEER_SILENT),
    LinkState.SESSION: ("BEAT-02", limits.SILENT_SECONDS, ErrorCode.PEER_SILENT),
    LinkState.SERVICE: ("BEAT-02", limits.SILENT_SECONDS, ErrorCode.PEER_SILENT),
}
# The deadline of a peer that sends heartbeats; the other states have none.
WITH_HEARTBEATS = {
    LinkState.LICENSING: limits.LICENSING_SECONDS,
    LinkState.LOGON: limits.LOGON_SECONDS,
}


def cases(target: Role) -> Iterator[Case]:
    talkers = (Role.TERMINAL_SERVER,) if target is Role.CLIENT else diallers(target)
    for role in talkers:
        for state in (LinkState.OPENING, *states(target, role)):
            spot = Spot(role, state)
            yield _silent_case(target, spot)
            if state is LinkState.OPENING:
                continue
            yield _case(target, "BEAT-01", f"{spot.words}.idle", _idle(spot))
            if target is not Role.CLIENT:
                yield _beating_case(target, spot)


def _silent_case(target: Role, spot: Spot) -> Case:
    requirement, seconds, code = SILENCE[spot.state]
    if target is Role.CLIENT:
        # The end that listens limits the phases; a client has deadlines of its own.
        is_opening = spot.state is LinkState.OPENING
        requirement = "TIME-02" if is_opening else "BEAT-02"
        seconds = limits.OPENING_SECONDS if is_opening else limits.SILENT_SECONDS
        code = ErrorCode.TIMED_OUT if is_opening else ErrorCode.PEER_SILENT
    return _case(target, requirement, f"{spot.words}.silent", _silent(spot, seconds, code))


def _beating_case(target: Role, spot: Spot) -> Case:
    words = f"{spot.words}.heartbeats"
    seconds = WITH_HEARTBEATS.get(spot.state)
    if seconds is None:
        return _case(target, "TIME-06", words, _beating_on(spot))
    requirement = "TIME-04" if spot.state is LinkState.LOGON else "BEAT-05"
    return _case(target, requirement, words, _beating_until(spot, seconds))


def _case(target: Role, requirement: str, words: str, script: Script) -> Case:
    return Case(f"{requirement}.{words}", requirement, target, script, leaves_no_trace=True)


def _silent(spot: Spot, seconds: float, code: ErrorCode) -> Script:
    def script(context: CaseContext) -> None:
        context.needs_seconds(seconds)
        peer, _ = reach(context, spot)
        began = context.now
        peer.expect_goodbye(code, seconds=seconds + SLACK_SECONDS)
        lasted = context.now - began
        if not seconds - SLACK_SECONDS <= lasted <= seconds + SLACK_SECONDS:
            raise Unmet(f"expected the Goodbye after {seconds:g} s, it came after {lasted:.1f} s")

    return script


def _idle(spot: Spot) -> Script:
    """A target that has nothing else to send sends Heartbeat."""

    def script(context: CaseContext) -> None:
        context.needs_seconds(limits.HEARTBEAT_SECONDS)
        peer, _ = reach(context, spot)
        peer.hear(Heartbeat, limits.HEARTBEAT_SECONDS + SLACK_SECONDS)

    return script


def _beating_until(spot: Spot, seconds: float) -> Script:
    """Heartbeats do not extend a phase."""

    def script(context: CaseContext) -> None:
        context.needs_seconds(seconds)
        peer, _ = reach(context, spot)
        began = context.now
        while context.now - began < seconds - BEAT_SECONDS:
            _beat(peer, BEAT_SECONDS)
        peer.say(Heartbeat())
        peer.expect_goodbye(ErrorCode.TIMED_OUT, seconds=BEAT_SECONDS + SLACK_SECONDS)

    return script


def _beating_on(spot: Spot) -> Script:
    """Heartbeats alone keep a link open."""

    def script(context: CaseContext) -> None:
        context.needs_seconds(4 * limits.SILENT_SECONDS)
        peer, _ = reach(context, spot)
        for _ in range(int(4 * limits.SILENT_SECONDS / BEAT_SECONDS)):
            _beat(peer, BEAT_SECONDS)

    return script


def _beat(peer: Peer, seconds: float) -> None:
    peer.say(Heartbeat())
    peer.expect_silence(seconds)
