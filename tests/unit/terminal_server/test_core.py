"""What the core hands to which part, and what administrators ask."""

from __future__ import annotations

from typing import Any

import pytest

from daemons.effects import Answer, Caller, Close
from tests.unit.terminal_server.scenario import (
    AUTHORITY,
    DAY,
    FARM,
    LS_A,
    NAME,
    NOW,
    PHONE,
    Issuer,
    Scene,
    of,
    shape,
    token,
)
from tsproto import limits
from tsproto.certificates import certificate_der, create_authority
from tsproto.errors import ErrorCode
from tsproto.license_token import Verifier
from tsproto.messages import (
    Authority,
    DisconnectSession,
    LicenseAccepted,
    LicenseKind,
    LogoffSession,
    Message,
    QueryAuthority,
    QueryLicenseServers,
    QueryServers,
    QuerySessions,
    ResizeSession,
    SessionState,
)


def answered(scene: Scene, query: Message) -> Any:
    (effect,) = scene.ask_as_administrator(query)
    assert isinstance(effect, Answer)
    assert effect.caller.request_id == 7
    return effect.message


def with_sessions(count: int) -> Scene:
    scene = Scene(sessions_max=1_000).up()
    for number in range(count):
        scene.let_in().start(f"user{number % 2}", command="sleep")
    return scene


def test_a_client_may_ask_for_the_farms_authority() -> None:
    scene = Scene().up()
    (answer,) = of(Answer, scene.connect().say(QueryAuthority()))
    assert answer.message == Authority(certificate=AUTHORITY)


def test_after_a_renewal_the_new_authority_is_told_with_its_endorsement() -> None:
    scene = Scene().up()
    scene.core.renew(Verifier([AUTHORITY], FARM), b"next", b"e" * 64)
    (answer,) = of(Answer, scene.connect().say(QueryAuthority()))
    assert answer.message == Authority(certificate=b"next", endorsement=b"e" * 64)


def test_after_a_renewal_tokens_count_by_the_authorities_that_are_trusted_then() -> None:
    scene = Scene().up()
    other, other_key = create_authority(FARM, NOW)
    renewed = Issuer("ls-a", other, other_key)
    before = scene.connect()
    before.show(token(issuer=renewed), renewed)
    assert before.code is ErrorCode.LICENSE_FOREIGN
    both = Verifier([certificate_der(other), AUTHORITY], FARM)
    scene.core.renew(both, certificate_der(other), b"")
    for issuer in (renewed, LS_A):
        client = scene.connect()
        client.show(token(issuer=issuer), issuer)
        assert client.last(LicenseAccepted).kind is LicenseKind.FULL


def test_sessions_are_listed_by_host_and_id() -> None:
    rows = answered(with_sessions(3), QuerySessions()).sessions
    assert [(row.host, row.session_id) for row in rows] == [(NAME, 1), (NAME, 2), (NAME, 3)]


def test_sessions_are_listed_for_one_user() -> None:
    rows = answered(with_sessions(3), QuerySessions(user_name="user0")).sessions
    assert [row.session_id for row in rows] == [1, 3]


@pytest.mark.parametrize(
    ("after_host", "after_id", "expected"),
    [(NAME, 1, [2, 3]), ("ts0", 9, [1, 2, 3]), ("ts2", 0, [])],
)
def test_sessions_are_listed_after_a_host_and_id(
    after_host: str, after_id: int, expected: list[Any]
) -> None:
    query = QuerySessions(after_host=after_host, after_id=after_id)
    rows = answered(with_sessions(3), query).sessions
    assert [row.session_id for row in rows] == expected


def test_sessions_are_listed_a_page_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGE_ROWS", 2)
    scene = with_sessions(3)
    first = answered(scene, QuerySessions())
    second = answered(scene, QuerySessions(after_host=NAME, after_id=2))
    assert [(len(page.sessions), page.more) for page in (first, second)] == [
        (2, True),
        (1, False),
    ]


def test_license_servers_are_listed_with_the_end_of_the_grace_period() -> None:
    scene = Scene(grace_days=10).up()
    scene.let_in()  # a full token ends it
    answer = answered(scene, QueryLicenseServers())
    assert [(row.name, row.verified_at, row.chosen) for row in answer.servers] == [
        ("ls-a", NOW, True)
    ]
    assert answer.grace_ends_at == 0


def test_the_end_of_the_grace_period_is_told_while_it_runs() -> None:
    scene = Scene(license_servers=(), grace_days=10)
    scene.start()
    scene.connect().show()
    assert answered(scene, QueryLicenseServers()).grace_ends_at == NOW + 10 * DAY


def test_a_lawful_message_that_nobody_here_takes_ends_the_connection() -> None:
    (close,) = Scene().up().ask_as_administrator(QueryServers())
    assert isinstance(close, Close)
    assert close.code is ErrorCode.OUT_OF_ORDER


@pytest.mark.parametrize(
    "message", [ResizeSession(columns=1, rows=1), DisconnectSession(), LogoffSession()]
)
def test_what_belongs_to_a_session_ends_a_connection_without_one(message: Message) -> None:
    client = Scene().up().let_in()
    client.say(message)
    assert client.code is ErrorCode.OUT_OF_ORDER


def test_the_whereabouts_tell_where_each_client_waits() -> None:
    scene = Scene().up()
    first, second = scene.connect(), scene.connect(PHONE)
    second.show()
    showing = scene.let_in()
    showing.start()
    places = {
        owner: [place.split(":")[0] for place in frames]
        for owner, frames in scene.core.whereabouts().items()
    }
    way = ["TerminalServerCore._serve", "Licensing.admit"]
    assert places == {
        first.peer: [*way, "Licensing._prove_device", "outcome_of"],
        second.peer: [*way, "inquire", "outcome_of"],
    }


def test_clients_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONNECTIONS_MAX", 1)
    scene = Scene().up()
    first = scene.connect()
    assert scene.connect().code is ErrorCode.TOO_MANY_CONNECTIONS
    first.lose()
    assert scene.connect().code is None


def test_nothing_is_done_before_a_deadline() -> None:
    scene = Scene(directory=True).up()
    assert scene.core.on_deadline(NOW) == []


def test_one_seed_gives_one_trace() -> None:
    def trace() -> list[str]:
        scene = Scene(directory=True, seed=5).up()
        client = scene.let_in(PHONE)
        client.start(command="uptime")
        client.lose()
        return [str(effect) for effect in scene.log if not isinstance(effect, Answer)]

    assert trace() == trace()


def test_a_client_that_breaks_the_order_leaves_its_session_disconnected() -> None:
    scene = Scene().up()
    client = scene.let_in()
    session_id = client.start()
    assert shape(client.store()) == ["Detach", "Persist", "Close"]
    assert client.code is ErrorCode.OUT_OF_ORDER
    record = scene.session(session_id)
    assert record is not None
    assert record.state is SessionState.DISCONNECTED


def test_a_directory_that_breaks_the_order_is_joined_again() -> None:
    scene = Scene(directory=True)
    scene.start()
    directory = scene.join()
    effects = scene.core.on_message(Caller(directory), QueryServers(), scene.now)
    assert shape(effects) == ["Close"]
    deadline = scene.core.next_deadline()
    assert deadline is not None
    assert deadline <= scene.now + limits.REJOIN_SECONDS
