"""The users of a load run: on a whole lab of real daemons, and at a scripted terminal server."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram

from clients.administrator import Administrator, Daemon
from clients.load.drivers import users
from clients.load.drivers.users import Users
from clients.load.measuring.measures import Measures
from clients.load.processes.assignment import Assignment, Farm, Person
from clients.load.scenario import Act, Closed, Journey, Scenario
from clients.logon.steps import Host
from daemons import lab
from tests.integration import scripted_server
from tests.integration.scripted_shell import ScriptedShell
from tsproto.errors import TsfarmError
from tsproto.messages import LogoffSession, Role, SessionRow

KEYS, BYTES = 10, 10_000
EVERYTHING = (
    Act("first-visit"),
    Act("work", keystrokes=KEYS, output=BYTES),
    Act("disconnect"),
    Act("think", seconds=0.01),
    Act("reconnect"),
    Act("roam"),
    Act("logoff"),
    Act("renew"),
    Act("logon"),
)


class Chance:
    """Counts how often it was drawn."""

    def __init__(self) -> None:
        self.drawn = 0
        self._rng = random.Random(1)

    def random(self) -> float:
        self.drawn += 1
        return self._rng.random()


class Load:
    """A driver as a worker has it, and what it told."""

    def __init__(
        self, farm: Farm, people: tuple[Person, ...], *acts: Act, script: str = ""
    ) -> None:
        self.violations: list[tuple[str, str]] = []
        self.measures = Measures(0, lambda: 0.0)
        self._all_ended = asyncio.Event()
        scenario = Scenario(
            name="test",
            closed=Closed(users=1, seconds=1),
            journeys=(Journey(acts),) if acts else (),
        )
        assignment = Assignment(
            share=0, shares=1, farm=farm, scenario=scenario, people=people, script=script, seed=1
        )
        self.chance = Chance()
        self.driver = Users(
            assignment,
            self.measures,
            lambda rule, detail: self.violations.append((rule, detail)),
            self.chance,
        )
        self.driver.on_finished = self._on_finished

    async def run(self, journeys: int) -> None:
        """All begin at once; returns when all have ended."""
        for _ in range(journeys):
            assert self.driver.begin(time.monotonic())
        await self._all_ended.wait()

    def counts(self) -> dict[str, int]:
        """How often each step succeeded, and of those that failed their code."""
        counts = {}
        for name, step in self.measures.take(0.0, 0).steps.items():
            if step.latencies:
                counts[name] = HdrHistogram.decode(step.latencies).total_count
            counts.update({f"{name} {code}": count for code, count in step.errors.items()})
        return counts

    def _on_finished(self) -> None:
        if not self.driver.in_flight:
            self._all_ended.set()


# --- a lab ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("lab")
    plan = lab.Plan(
        terminal_servers=("ts1", "ts2"),
        license_servers=(lab.LicenseServerPlan("license-a", tokens=1),),
        users=(),
        load_users=3,
    )
    lab.up(folder, plan, say=lambda line: None)
    try:
        yield folder
    finally:
        lab.down(folder)


@pytest.fixture
def farm(folder: Path) -> Farm:
    made = lab.load(folder)
    return Farm(
        name=made.farm,
        terminal_servers=tuple(
            Host(each.host, each.port) for each in made.daemons if each.role == "terminal_server"
        ),
        authority=folder / "pki" / "authority.crt",
    )


def people_of(folder: Path, secret: bytes = b"") -> tuple[Person, ...]:
    secret = secret or bytes.fromhex((folder / "users" / "load").read_text())
    names = map(lab.load_user, range(1, lab.load(folder).load_users + 1))
    return tuple(Person(name, secret, is_synthetic=True) for name in names)


async def sessions_in(folder: Path) -> list[SessionRow]:
    pki, directory = folder / "pki", lab.load(folder).daemon("directory")
    files = (pki / "admin.crt", pki / "admin.key", pki / "authority.crt")
    daemon = Daemon(Role.SESSION_DIRECTORY, Host(directory.host, directory.port))
    return await Administrator.certified(*files).sessions(daemon)


async def test_three_people_do_everything_at_once_and_leave_nothing(
    folder: Path, farm: Farm
) -> None:
    load = Load(farm, people_of(folder), *EVERYTHING)
    await load.driver.open()
    await load.run(3)
    assert load.violations == []
    assert load.counts() == {
        "first-visit": 3,
        "keystroke": 3 * KEYS,
        "output": 3,
        "disconnect": 6,  # before roaming as well
        "reconnect": 3,
        "roam": 3,
        "logoff": 3,
        "renew": 3,
        "logon": 3,
    }
    assert {row.user_name for row in await sessions_in(folder)} == {
        person.name for person in people_of(folder)
    }
    await load.driver.close()
    while await sessions_in(folder):
        pass  # a host tells the directory after the user
    assert load.violations == []


async def test_a_session_is_kept_between_journeys(folder: Path, farm: Farm) -> None:
    load = Load(farm, people_of(folder)[:1], Act("logon"), Act("work", keystrokes=3))
    await load.driver.open()
    for _ in range(2):
        await load.run(1)
    [session] = await sessions_in(folder)
    assert session.user_name == "load00001"
    await load.driver.close()
    assert load.violations == []


async def test_a_wrong_password_is_counted_by_its_code(folder: Path, farm: Farm) -> None:
    load = Load(farm, people_of(folder, b"wrong"), Act("logon"), Act("work", keystrokes=1))
    await load.driver.open()
    await load.run(3)
    await load.driver.close()
    assert load.counts() == {"logon LOGON_FAILED": 3}
    assert load.violations == []


# --- a scripted terminal server -------------------------------------------------------------------

TWO = (Person("user1", b"secret"), Person("user2", b"secret"))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedShell]:
    server = ScriptedShell(scripted_server.Farm(tmp_path / "pki"))
    await server.listen(tls=False)
    yield server
    await server.close()


@pytest.fixture
def plain_farm(server: ScriptedShell) -> Farm:
    return Farm(name="lab", terminal_servers=(Host("127.0.0.1", server.port),))


async def test_a_person_is_on_one_journey_at_a_time(plain_farm: Farm) -> None:
    load = Load(plain_farm, TWO, Act("logon"), Act("logoff"))
    await load.driver.open()
    begun = [load.driver.begin(time.monotonic()) for _ in range(3)]
    assert (begun, load.driver.in_flight) == ([True, True, False], 2)
    await load.driver.close()
    assert load.driver.in_flight == 0


async def test_what_a_visitor_does_changes_nothing_for_those_who_come_later(
    plain_farm: Farm,
) -> None:
    load = Load(plain_farm, TWO, Act("logon"), Act("disconnect"), Act("renew"))
    await load.driver.open()
    before = load.chance.drawn
    await load.run(2)
    assert load.chance.drawn == before + 2
    await load.driver.close()


async def test_a_farm_that_is_not_there_is_told_before_the_run() -> None:
    nowhere = Farm(name="lab", terminal_servers=(Host("127.0.0.1", 1),))
    with pytest.raises(TsfarmError, match="no host of the farm can be logged on to"):
        await Load(nowhere, TWO, Act("logon")).driver.open()


async def test_a_host_that_is_down_is_told_to_whoever_watches(
    plain_farm: Farm, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = (*plain_farm.terminal_servers, Host("127.0.0.1", 1))
    load = Load(Farm(name="lab", terminal_servers=hosts), TWO, Act("logon"))
    await load.driver.open()
    await load.driver.close()
    said = "a host cannot be logged on to: 127.0.0.1:1: Connection refused\n"
    assert capsys.readouterr().err == said


async def test_a_scenario_has_checks_of_its_own(plain_farm: Farm, tmp_path: Path) -> None:
    file = tmp_path / "day.py"
    file.write_text(
        "from clients.load import Script\n"
        "class Day(Script):\n"
        "    async def journey(self, visitor):\n"
        "        await visitor.logon()\n"
        "        first = visitor.session\n"
        "        await visitor.roam()\n"
        "        visitor.check('the same', visitor.session == first)\n"
        "        visitor.check('on ts9', first.server == 'ts9', f'it is on {first.server}')\n"
    )
    load = Load(plain_farm, TWO[:1], script=str(file))
    await load.driver.open()
    await load.run(1)
    await load.driver.close()
    assert load.violations == [("on ts9", "user1, it is on ts1")]


async def test_what_is_under_way_is_logged_off_at_the_end(
    server: ScriptedShell, plain_farm: Farm
) -> None:
    load = Load(plain_farm, TWO, Act("logon"), Act("think", seconds=1000.0))
    await load.driver.open()
    assert load.driver.begin(time.monotonic())
    await server.session_shown.wait()
    await load.driver.close()
    assert LogoffSession() in server.received
    assert len(server.logons) == 1, "nobody came back for it"
    assert load.violations == []


async def test_sessions_that_cannot_be_logged_off_are_reported(
    server: ScriptedShell, plain_farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "CLOSING_SECONDS", 0.1)
    monkeypatch.setattr(users, "SESSIONS_A_SECOND", 1000)
    load = Load(plain_farm, TWO, Act("logon"))
    await load.driver.open()
    await load.run(2)
    server.on_logon = lambda link, request: None
    await load.driver.close()
    [(rule, detail)] = load.violations
    assert rule == "sessions logged off" and detail.startswith("those of 2 people could not be")
    assert rule in users.Users.rules


async def test_a_fault_in_a_scenarios_own_code_is_reported_with_its_line(
    plain_farm: Farm, tmp_path: Path
) -> None:
    file = tmp_path / "day.py"
    file.write_text(
        "from clients.load import Script\n"
        "class Day(Script):\n"
        "    async def journey(self, visitor):\n"
        "        await visitor.logon()\n"
        "        raise KeyError('lunch')\n"
    )
    load = Load(plain_farm, TWO, script=str(file))
    await load.driver.open()
    await load.run(1)
    await load.driver.close()
    assert load.counts() == {"logon": 1}
    [(rule, detail)] = load.violations
    assert detail == f"KeyError: 'lunch' ({file}:5)"


async def test_without_people_or_hosts_there_is_nothing_to_begin(plain_farm: Farm) -> None:
    with pytest.raises(TsfarmError, match="no users"):
        await Load(plain_farm, (), Act("logon")).driver.open()
    with pytest.raises(TsfarmError, match="no terminal server"):
        await Load(Farm(name="lab"), TWO, Act("logon")).driver.open()
