"""What may become of a session: of its row, checked at each commit, and of its program, checked
when the keeper is asked to do something.

A session belongs to one user and one application for ever. It is shown by one client at a time,
and its program ends by itself or when its user says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemons import effects
from daemons.effects import Effect, Peer, Persist
from daemons.terminal_server.records import ServerRecord, SessionRecord
from tests.simulation.node import Node
from tsproto.messages import LogoffSession, Message, SessionState

if TYPE_CHECKING:
    from tests.simulation.farm import Farm

ROW = "a session's row is true"
ONCE = "a session id is given out once"
ONE_CLIENT = "one client shows a session"
ENDS = "only its user ends a session"
ROOM = "a host has no more sessions than it may"
OUTLIVES = "no row outlives its session"
GRACE = "a grace period begins once and ends"


class SessionRows:
    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self.started: dict[tuple[str, int], tuple[str, str]] = {}
        self._begun: dict[tuple[str, int], tuple[float, int, bytes]] = {}
        """By session: when it began, in which life of its host, with which salt of a password."""
        self.ended_at: dict[str, float] = {}  # by host: when a program ended last
        self.changed_at = 0.0  # any of them
        self._logged_off: set[tuple[str, int]] = set()

    # --- rows ---------------------------------------------------------------------------------

    def changed(self, node: Node, change: Persist) -> None:
        self.changed_at = self._farm.world.now
        for record in change.put:
            if isinstance(record, SessionRecord):
                self._session(node, node.disk.row(SessionRecord, record.session_id), record)
            elif isinstance(record, ServerRecord):
                self._host(node, node.disk.row(ServerRecord, record.name), record)
        running = self._farm.kind_of(node).programs
        for record in change.delete:
            if isinstance(record, SessionRecord) and record.session_id in running:
                text = f"{node.name} forgets session {record.session_id}, which runs"
                self._farm.broken(ROW, text)

    def _session(self, node: Node, old: SessionRecord | None, new: SessionRecord) -> None:
        where = f"{node.name}/{new.session_id}"
        owner = self.started.get((node.name, new.session_id))
        if owner != (new.user_name, new.application):
            self._farm.broken(ROW, f"{where} is of {owner}, and its row says {new}")
        is_left = new.state is SessionState.DISCONNECTED
        if is_left != bool(new.disconnected_at):
            self._farm.broken(ROW, f"{where} is {new.state.name} since {new.disconnected_at}")
        if old is None:
            if not new.placement and self._farm.places_everybody:
                self._farm.broken(ROW, f"{where} is new, and has no placement: {new}")
            return
        if (old.created_at, old.system_user) != (new.created_at, new.system_user):
            self._farm.broken(ROW, f"{where} was {old}, and is {new}")
        if new.placement < old.placement:
            self._farm.broken(ROW, f"{where} goes back to placement {new.placement}")
        if new.attachment < old.attachment:
            self._farm.broken(ROW, f"{where} goes back to attachment {new.attachment}")
        if old.device_id != new.device_id and old.attachment == new.attachment:
            self._farm.broken(ROW, f"{where} is on another device, and was not shown anew")

    def _host(self, node: Node, old: ServerRecord | None, new: ServerRecord) -> None:
        if old is None:
            return
        if new.next_session_id < old.next_session_id:
            self._farm.broken(ONCE, f"{node.name} goes back to session {new.next_session_id}")
        if new.grace_over and not old.grace_over:
            self._farm.world.saw("a grace period ended")
        begins_again = old.grace_started_at not in (0, new.grace_started_at)
        if begins_again or (old.grace_over and not new.grace_over):
            self._farm.broken(GRACE, f"{node.name} had {old}, and has {new}")

    # --- programs -----------------------------------------------------------------------------

    def asked(self, node: Node, peer: Peer, message: Message) -> None:
        if isinstance(message, LogoffSession):
            for session_id, link in self._farm.kind_of(node).shown.items():
                if link == peer.link:
                    self._logged_off.add((node.name, session_id))

    def performed(self, node: Node, effect: Effect) -> None:
        kind = self._farm.kind_of(node)
        match effect:
            case effects.StartProgram(session_id, proof_id, asked):
                if (node.name, session_id) in self.started:
                    self._farm.broken(ONCE, f"{node.name} starts session {session_id} again")
                user = self._farm.proofs.user_of(node.name, proof_id)
                self.started[node.name, session_id] = user, asked.application
                salt = self._farm.accounts.salt_of(user)
                self._begun[node.name, session_id] = self._farm.world.now, node.life, salt
                if len(kind.programs) >= kind.sessions_max:
                    self._farm.broken(ROOM, f"{node.name} may have {kind.sessions_max}")
            case effects.Attach(_, session_id):
                if session_id in kind.shown:
                    text = f"{node.name} shows session {session_id} to two clients"
                    self._farm.broken(ONE_CLIENT, text)
                self._farm.logons.attached(node, session_id)
            case effects.EndProgram(session_id):
                self._ends(node, session_id)

    def _ends(self, node: Node, session_id: int) -> None:
        program = self._farm.kind_of(node).programs.get(session_id)
        if program is None or program.command or (node.name, session_id) in self._logged_off:
            return
        if node.disk.row(SessionRecord, session_id) is not None:
            text = f"{node.name} ends session {session_id} of {program.user_name}"
            self._farm.broken(ENDS, text)

    def program_ended(self, node: Node) -> None:
        self.ended_at[node.name] = self._farm.world.now

    def has_good_proof(self, node: Node, session_id: int) -> bool:
        """Whether its terminal server still has a proof that the directory takes."""
        farm, (user, _) = self._farm, self.started[node.name, session_id]
        began_at, life, salt = self._begun[node.name, session_id]
        is_remembered = life == node.life and farm.world.woke_at < began_at
        is_of_now = farm.clocks_agree and "clock steps" not in farm.struck
        return is_remembered and is_of_now and salt == farm.accounts.salt_of(user)

    # --- all of them --------------------------------------------------------------------------

    def no_row_outlives_its_session(self) -> None:
        """On a terminal server that has nothing more to write."""
        for node, kind in self._farm.terminal_servers:
            if not self._farm.is_settled(node):
                continue
            for row in node.disk.load((SessionRecord,))[SessionRecord]:
                if isinstance(row, SessionRecord) and row.session_id not in kind.programs:
                    text = f"{node.name} keeps a row of session {row.session_id}, which has ended"
                    self._farm.broken(OUTLIVES, text)
