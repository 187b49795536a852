"""Random logons, starts, ends and restarts against one law: a user has one session.

The terminal servers here are as honest and as simple as can be: each starts what it was told to,
reports it, and now and then joins again, ends a session, or cannot start one. No link is lost for
longer than a join takes, no reservation grows old, and no client claims that a host is unreachable:
then a user never has two sessions for one application, started or to come.
"""

from __future__ import annotations

import random

import pytest

from daemons.effects import Peer
from tests.unit.session_directory.scenario import (
    ACTIVE,
    DISCONNECTED,
    Directory,
    answer,
    row,
)
from tsproto.messages import SessionPlaced, SessionRow

HOSTS = ("ts1", "ts2", "ts3")
USERS = ("user1", "user2", "user3")
APPLICATIONS = ("", "editor")
Owner = tuple[str, str]


class Farm:
    """Terminal servers with `sessions` that run and `coming` ones that they were told to start."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.directory = Directory(seed=seed)
        self.sessions: dict[tuple[str, int], SessionRow] = {}
        self.coming: dict[tuple[str, Owner], int] = {}
        self.redirected: list[tuple[str, int, Owner]] = []
        self.last_id = 0
        self.peers: dict[str, Peer] = {host: self.directory.joined(host) for host in HOSTS}

    def step(self) -> None:
        steps = (self.log_on, self.log_on, self.follow, self.start, self.start)
        others = (self.disconnect, self.log_off, self.give_up, self.join_again)
        self.rng.choice(steps + others)()
        self.directory.passes(self.rng.choice((0.0, 0.001, 0.3)))

    def log_on(self) -> None:
        host = self.rng.choice(HOSTS)
        owner = self.rng.choice(USERS), self.rng.choice(APPLICATIONS)
        placed = self.directory.places(self.peers[host], *owner)
        if placed.host == host:
            self.take(host, owner, placed)
        else:
            self.redirected.append((placed.host, placed.session_id, owner))

    def follow(self) -> None:
        if not self.redirected:
            return
        index = self.rng.randrange(len(self.redirected))
        host, session_id, owner = self.redirected.pop(index)
        asked = self.directory.asked_to_place(
            self.peers[host], *owner, session_id=session_id, redirected=True
        )
        placed = answer(asked, SessionPlaced)
        if placed.host == host:
            self.take(host, owner, placed)

    def take(self, host: str, owner: Owner, placed: SessionPlaced) -> None:
        if placed.session_id:
            session = self.sessions[host, placed.session_id]
            assert (session.user_name, session.application) == owner
            self.report(session, state_active=True)
        else:
            self.coming[host, owner] = placed.placement

    def start(self) -> None:
        if not self.coming:
            return
        host, (user, application) = self.rng.choice(list(self.coming))
        placement = self.coming.pop((host, (user, application)))
        self.last_id += 1
        session = row(host, self.last_id, user, application=application, placement=placement)
        self.report(session, state_active=True)

    def give_up(self) -> None:
        if self.coming:
            host, owner = self.rng.choice(list(self.coming))
            self.directory.removed(self.peers[host], 0, self.coming.pop((host, owner)), owner[0])

    def disconnect(self) -> None:
        if self.sessions:
            self.report(self.rng.choice(list(self.sessions.values())), state_active=False)

    def log_off(self) -> None:
        if self.sessions:
            host, session_id = self.rng.choice(list(self.sessions))
            ended = self.sessions.pop((host, session_id))
            self.directory.removed(self.peers[host], session_id, ended.placement, ended.user_name)

    def join_again(self) -> None:
        host = self.rng.choice(HOSTS)
        mine = [session for session in self.sessions.values() if session.host == host]
        self.peers[host] = self.directory.joined(host, *mine)

    def report(self, session: SessionRow, *, state_active: bool) -> None:
        session = row(
            session.host,
            session.session_id,
            session.user_name,
            application=session.application,
            state=ACTIVE if state_active else DISCONNECTED,
            placement=session.placement,
        )
        self.sessions[session.host, session.session_id] = session
        self.directory.updated(self.peers[session.host], session)

    def check(self) -> None:
        running = [(s.user_name, s.application) for s in self.sessions.values()]
        owners = running + [owner for _, owner in self.coming]
        assert len(owners) == len(set(owners)), "a user has two sessions for one application"
        for user in USERS:
            rows = self.directory.page(user).sessions
            assert all(found.user_name == user for found in rows)
            mine = sorted(key for key, s in self.sessions.items() if s.user_name == user)
            assert [(found.host, found.session_id) for found in rows] == mine


@pytest.mark.parametrize("seed", range(8))
def test_a_user_has_one_session_for_an_application(seed: int) -> None:
    farm = Farm(seed)
    for _ in range(150):
        farm.step()
        farm.check()
    assert farm.last_id > 10
