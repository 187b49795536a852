"""A real PAM behind a real keeper: its prompts, its verdicts, and the sessions that it opens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from daemons.effects import (
    Challenge,
    Challenged,
    NotProved,
    PamAnswer,
    ProgramFailed,
    Prompted,
    Prove,
    Proved,
)
from daemons.keeper.pam_child import EXPIRED
from daemons.keeper.pam_logons import ASKING_MAX
from daemons.keeper.starting import KeeperError
from tests.integration.keepers import (
    DEVICE,
    Keeping,
    Terminal,
    end_process,
    keeper_pid,
    keeping,
    signature_of,
    start_of,
    statement_of,
    write_host,
)
from tsproto import certificates, identity, limits
from tsproto.errors import ErrorCode
from tsproto.user_proof import ED25519, Asked, Method, Methods

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make rules and users for PAM"),
    pytest.mark.skipif(shutil.which("useradd") is None, reason="useradd is missing"),
]

SERVICE = f"tsfarm-test-{os.getpid()}"
RULES = Path("/etc/pam.d") / SERVICE
PERSON = f"tsft{os.getpid()}"
UNIX = """
auth required pam_unix.so nodelay
account required pam_unix.so
password required pam_unix.so
session required pam_permit.so
"""
SHELL = Asked()
KEY = identity.DeviceKey(b"k" * 32)


@pytest.fixture
def rules() -> Iterator[None]:
    RULES.write_text(UNIX)
    yield
    RULES.unlink()


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A system user with the password "secret"."""
    home = tmp_path_factory.mktemp("home") / PERSON
    run("useradd", "-d", str(home), "-s", "/bin/sh", PERSON)
    try:
        run("chpasswd", given=f"{PERSON}:secret")
        yield PERSON
    finally:
        run("userdel", "--force", PERSON)


@pytest.fixture
def folder(tmp_path: Path, rules: None, person: str) -> Iterator[Path]:
    host(tmp_path, system_user=person, pam=True)
    try:
        yield tmp_path
    finally:
        if (pid := keeper_pid(tmp_path)) is not None:
            end_process(pid, signal.SIGTERM)


def run(*command: str, given: str = "") -> None:
    subprocess.run(command, input=given, text=True, check=True, capture_output=True, timeout=20)


def host(folder: Path, *, asks_secrets: bool = True, **account: object) -> None:
    """The files of a host whose PAM may ask."""
    path = write_host(folder, sessions={"allow_root": False}, asks_secrets=asks_secrets, **account)
    config = path.read_text().replace("tls = false", "tls = true")
    path.write_text(f'pam = "{SERVICE}"\n{config}')


def certificate(folder: Path) -> bytes:
    return identity.fingerprint(certificates.certificate_der((folder / "ts1.crt").read_bytes()))


class Logon:
    """One user in front of the prompts."""

    def __init__(self, kept: Keeping, folder: Path) -> None:
        self._kept = kept
        self._folder = folder

    async def challenged(
        self, user: str = "user1", device: identity.DeviceKey | None = None, asked: Asked = SHELL
    ) -> Challenged:
        effect = Challenge(
            user,
            device.device_id if device else DEVICE,
            certificate(self._folder),
            (),
            0,
            "192.0.2.7",
            asked.session_id,
            asked.attachment,
        )
        said = await self._kept.client.challenge(effect)
        assert isinstance(said, Challenged), said
        return said

    async def begin(
        self, user: str = "user1", asked: Asked = SHELL
    ) -> Prompted | Proved | NotProved:
        said = await self.challenged(user)
        self._nonce = said.nonce
        return await self._kept.client.prove(Prove(said.nonce, Method.PAM, "", b"", asked, 0))

    async def answer(self, round: int, *answers: bytes) -> Prompted | Proved | NotProved:
        return await self._kept.client.prove(PamAnswer(self._nonce, round, answers, 0))

    async def proved(self, *answers: bytes, asked: Asked = SHELL) -> Proved:
        """Give these answers to one prompt after the other."""
        outcome = await self.begin(asked=asked)
        for answer in answers:
            assert isinstance(outcome, Prompted), outcome
            outcome = await self.answer(outcome.round, answer)
        assert isinstance(outcome, Proved), outcome
        return outcome

    async def start(self, proved: Proved, asked: Asked = SHELL) -> Terminal:
        started = await self._kept.client.start(start_of(1, proved.proof_id, asked))
        return self._kept.opened(started)


@contextlib.asynccontextmanager
async def logon(folder: Path) -> AsyncIterator[Logon]:
    async with keeping(folder) as kept:
        yield Logon(kept, folder)


def denied(outcome: Prompted | Proved | NotProved) -> bool:
    return isinstance(outcome, NotProved) and outcome.code is ErrorCode.LOGON_FAILED


# --- prompts --------------------------------------------------------------------------------------


async def test_the_system_users_password_proves_the_user(folder: Path, person: str) -> None:
    async with logon(folder) as user:
        prompted = await user.begin()
        assert prompted == Prompted(1, (("Password: ", False),))
        proved = await user.answer(1, b"secret")
        assert isinstance(proved, Proved)
        assert proved.system_user == person
        terminal = await user.start(proved)
        terminal.type(b"id -un\n")
        terminal.until(f"{person}\r\n".encode())


async def test_pam_is_offered_to_every_name(folder: Path) -> None:
    async with logon(folder) as user:
        for name in ("user1", "nobody-at-all"):
            methods = (await user.challenged(name)).methods
            assert methods == Methods.PASSWORD | Methods.SSH_KEY | Methods.PAM


async def test_a_wrong_password_is_denied_and_the_next_one_is_asked_for(folder: Path) -> None:
    async with logon(folder) as user:
        await user.begin()
        assert denied(await user.answer(1, b"wrong"))
        assert isinstance(await user.proved(b"secret"), Proved)


@pytest.mark.parametrize("answer", [b"secret", b"wrong"])
async def test_an_unknown_name_is_asked_and_denied_like_a_wrong_password(
    folder: Path, answer: bytes
) -> None:
    async with logon(folder) as user:
        assert await user.begin("nobody-at-all") == Prompted(1, (("Password: ", False),))
        assert denied(await user.answer(1, answer))


@pytest.mark.parametrize("account", [{"pam": False}, {"pam": True, "disabled": True}])
async def test_an_account_that_may_not_use_pam_is_denied_with_the_right_password(
    folder: Path, person: str, account: dict[str, bool]
) -> None:
    host(folder, system_user=person, **account)
    async with logon(folder) as user:
        assert isinstance(await user.begin(), Prompted)
        assert denied(await user.answer(1, b"secret"))


async def test_rules_that_permit_everybody_permit_no_unknown_name(folder: Path) -> None:
    RULES.write_text(UNIX.replace("pam_unix.so nodelay", "pam_permit.so"))
    async with logon(folder) as user:
        assert isinstance(await user.begin(), Proved)
        assert denied(await user.begin("nobody-at-all"))


async def test_two_prompts_of_one_round_and_a_notice(
    folder: Path, tmp_path: Path, asking_module: Path
) -> None:
    RULES.write_text(UNIX.replace("pam_unix.so nodelay", str(asking_module)))
    async with logon(folder) as user:
        expected = Prompted(1, (("Password: ", False), ("Code: ", True)), ("Your token is blue",))
        assert await user.begin() == expected
        assert denied(await user.answer(1, b"secret", b"000000"))
        await user.begin()
        proved = await user.answer(1, b"secret", b"123456")
        assert isinstance(proved, Proved)
        terminal = await user.start(proved)
        terminal.type(b"echo $TOKEN.\n")
        terminal.until(b"blue.\r\n")


async def test_a_code_after_a_password_is_a_round_of_its_own(
    folder: Path, asking_module: Path
) -> None:
    RULES.write_text(f"auth required {asking_module}\n{UNIX}")
    async with logon(folder) as user:
        await user.begin()
        second = await user.answer(1, b"secret", b"123456")
        assert second == Prompted(2, (("Password: ", False),))
        assert isinstance(await user.answer(2, b"secret"), Proved)


@pytest.fixture(scope="module")
def asking_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing")
    built = tmp_path_factory.mktemp("pam") / "pam_asks.so"
    source = Path(__file__).with_name("pam_asks.c")
    run("gcc", "-shared", "-fPIC", "-w", "-o", str(built), str(source))
    return built


@pytest.mark.parametrize(("round", "answers"), [(2, (b"a",)), (1, ()), (1, (b"a", b"b")), (0, ())])
async def test_answers_to_another_prompt_end_the_logon(
    folder: Path, round: int, answers: tuple[bytes, ...]
) -> None:
    async with logon(folder) as user:
        await user.begin()
        outcome = await user.answer(round, *answers)
        assert isinstance(outcome, NotProved)
        assert outcome.code is ErrorCode.NOT_PERMITTED
        over = await user.answer(1, b"secret")
        assert isinstance(over, NotProved)
        assert (over.code, over.retry_after_seconds) == (ErrorCode.LOGON_BUSY, 1)


async def test_an_answer_with_a_zero_byte_is_no_password(folder: Path) -> None:
    async with logon(folder) as user:
        await user.begin()
        assert denied(await user.answer(1, b"secret\0more"))


async def test_more_rounds_than_allowed_are_not_asked(folder: Path, asking_module: Path) -> None:
    RULES.write_text(f"auth required {asking_module}\n" * limits.PAM_ROUNDS_MAX + UNIX)
    async with logon(folder) as user:
        outcome = await user.begin()
        for round in range(1, limits.PAM_ROUNDS_MAX + 1):
            assert isinstance(outcome, Prompted) and outcome.round == round
            outcome = await user.answer(round, b"secret", b"123456")
        assert isinstance(outcome, NotProved)
        assert outcome.detail == "the host's PAM asks more than 16 times"


async def test_the_oldest_of_too_many_who_are_asked_gives_way(folder: Path) -> None:
    async with keeping(folder) as kept:
        users = [Logon(kept, folder) for _ in range(ASKING_MAX + 1)]
        for user in users:
            assert isinstance(await user.begin(), Prompted)
        first = await users[0].answer(1, b"secret")
        assert isinstance(first, NotProved)
        assert first.code is ErrorCode.LOGON_BUSY
        assert isinstance(await users[1].answer(1, b"secret"), Proved)


# --- accounts -------------------------------------------------------------------------------------


async def test_an_expired_password_is_changed_at_the_prompts(folder: Path, person: str) -> None:
    run("chage", "-d", "0", person)
    try:
        async with logon(folder) as user:
            await user.begin()
            outcome = await user.answer(1, b"secret")
            asked = []
            while isinstance(outcome, Prompted):
                asked += [words for words, _ in outcome.prompts]
                is_current = any("urrent" in words for words, _ in outcome.prompts)
                given = [b"secret" if is_current else b"Quite-New-77"] * len(outcome.prompts)
                outcome = await user.answer(outcome.round, *given)
            assert isinstance(outcome, Proved), outcome
            assert asked[-2:] == ["New password: ", "Retype new password: "]
            await user.begin()
            assert denied(await user.answer(1, b"secret"))
            assert isinstance(await user.proved(b"Quite-New-77"), Proved)
    finally:
        run("chpasswd", given=f"{person}:secret")


async def test_an_expired_account_is_refused_with_the_reason(folder: Path, person: str) -> None:
    run("chage", "-E", "1", person)
    try:
        async with logon(folder) as user:
            await user.begin()
            outcome = await user.answer(1, b"secret")
            while isinstance(outcome, Prompted):  # what PAM says about it
                assert outcome.prompts == ()
                assert "expired" in outcome.notices[0]
                outcome = await user.answer(outcome.round)
            assert isinstance(outcome, NotProved)
            assert outcome.code is ErrorCode.ACCOUNT_UNUSABLE
            assert "account has expired" in outcome.detail
    finally:
        run("chage", "-E", "-1", person)


async def test_a_proof_by_pam_ends_with_a_change_of_the_account(folder: Path, person: str) -> None:
    async with logon(folder) as user:
        proved = await user.proved(b"secret")
        host(folder, system_user="nobody", pam=True)
        with pytest.raises(AssertionError, match="the account was changed in this moment"):
            await user.start(proved)


async def test_pam_proves_one_session_and_what_was_asked(folder: Path) -> None:
    async with keeping(folder) as kept:
        user = Logon(kept, folder)
        proved = await user.proved(b"secret", asked=Asked(command="true"))
        failed = await kept.client.start(start_of(1, proved.proof_id, Asked(command="id")))
        assert isinstance(failed, ProgramFailed)
        assert failed.code is ErrorCode.NOT_PERMITTED
        again = await kept.client.start(start_of(1, proved.proof_id, Asked(command="true")))
        assert isinstance(again, ProgramFailed)


# --- sessions -------------------------------------------------------------------------------------


@pytest.fixture
def noted(folder: Path) -> Path:
    """Rules that note each opened and closed session in this file, as root."""
    note, script = folder / "noted", folder / "note"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$PAM_TYPE $PAM_USER $PAM_RHOST $(id -u) $(basename $PAM_TTY)" >>{note}\n'
        f'if [ "$PAM_TYPE" = open_session ]; then echo "welcome to ts1"; fi\n'
    )
    script.chmod(0o755)
    RULES.write_text(UNIX + f"session required pam_exec.so stdout {script}\n")
    return note


async def test_a_session_is_opened_before_the_program_and_closed_after_it(
    folder: Path, person: str, noted: Path
) -> None:
    async with keeping(folder) as kept:
        user = Logon(kept, folder)
        terminal = await user.start(await user.proved(b"secret"))
        terminal.until(b"welcome to ts1\r\n")
        terminal.type(b"echo o''n $(basename $(tty)).; exit 9\n")
        terminal.until(b"on ")
        name = terminal.until(b".\r\n").decode()
        terminal.until_end()
        assert await kept.ended.get() == (1, 9)
        assert lines_of(noted) == [
            f"open_session {person} 192.0.2.7 0 {name}",
            f"close_session {person} 192.0.2.7 0 {name}",
        ]


async def test_a_session_of_a_password_key_is_opened_and_closed_too(
    folder: Path, person: str, noted: Path
) -> None:
    async with keeping(folder) as kept:
        user = Logon(kept, folder)
        asked = Asked(command="exit 3")
        terminal = await user.start(await proved_by_key(kept, user, folder, asked), asked)
        assert b"welcome" not in terminal.until_end()  # a command's output is its own
        assert await kept.ended.get() == (1, 3)
        kinds = [line.split()[:2] for line in lines_of(noted)]
        assert kinds == [["open_session", person], ["close_session", person]]


async def proved_by_key(kept: Keeping, user: Logon, folder: Path, asked: Asked) -> Proved:
    said = await user.challenged()
    signature = signature_of(statement_of(said, asked, certificate=certificate(folder)))
    outcome = await kept.client.prove(
        Prove(said.nonce, Method.PASSWORD, ED25519, signature, asked, 0)
    )
    assert isinstance(outcome, Proved), outcome
    return outcome


async def test_a_session_that_pam_does_not_open_is_refused(folder: Path) -> None:
    RULES.write_text(UNIX.replace("session required pam_permit", "session required pam_deny"))
    async with keeping(folder) as kept:
        user = Logon(kept, folder)
        proved = await user.proved(b"secret")
        failed = await kept.client.start(start_of(1, proved.proof_id, SHELL))
        assert isinstance(failed, ProgramFailed)
        assert failed.code is ErrorCode.ACCOUNT_UNUSABLE
        assert failed.detail.startswith("the host's PAM opens no session: ")
        assert await kept.client.sessions() == []


async def test_an_expired_password_starts_no_session_for_a_key(folder: Path, person: str) -> None:
    run("chage", "-d", "0", person)
    try:
        async with keeping(folder) as kept:
            user = Logon(kept, folder)
            proved = await proved_by_key(kept, user, folder, SHELL)
            failed = await kept.client.start(start_of(1, proved.proof_id, SHELL))
            assert isinstance(failed, ProgramFailed)
            assert failed.code is ErrorCode.ACCOUNT_UNUSABLE
            assert failed.detail.endswith(EXPIRED)
    finally:
        run("chpasswd", given=f"{person}:secret")


async def test_limits_and_the_environment_of_the_rules_are_the_programs(folder: Path) -> None:
    limits_file = folder / "limits"
    limits_file.write_text("* hard nofile 321\n* soft nofile 321\n")
    environment = folder / "environment"
    environment.write_text("FROM_PAM=yes\nHOME=/wrong\n")
    RULES.write_text(
        UNIX + f"session required pam_limits.so conf={limits_file}\n"
        f"session required pam_env.so conffile=/dev/null envfile={environment}\n"
    )
    async with logon(folder) as user:
        terminal = await user.start(await user.proved(b"secret"))
        terminal.type(b'echo "$(ulimit -n) $FROM_PAM $(basename $HOME)."\n')
        terminal.until(f"321 yes {PERSON}.\r\n".encode())


async def test_a_session_hung_up_is_closed(folder: Path, person: str, noted: Path) -> None:
    async with keeping(folder) as kept:
        user = Logon(kept, folder)
        await user.start(await user.proved(b"secret"))
        kept.client.hang_up(1)
        session_id, status = await kept.ended.get()
        assert (session_id, status) == (1, 128 + signal.SIGHUP)
        assert "close_session" in words_of(noted)


async def test_a_session_of_a_keeper_that_was_killed_is_closed_when_it_ends(
    folder: Path, noted: Path
) -> None:
    async with keeping(folder) as kept:
        user = Logon(kept, folder)
        terminal = await user.start(await user.proved(b"secret"))
        terminal.until(b"welcome")
        await asyncio.to_thread(end_process, keeper_pid(folder) or 0, signal.SIGKILL)
        assert "close_session" not in words_of(noted)
        terminal.type(b"exit\n")
        await asyncio.to_thread(wait_until_written, noted, "close_session")


async def test_nobody_is_left_asking_when_the_terminal_server_leaves(folder: Path) -> None:
    async with logon(folder) as user:
        await user.begin()
        keeper = keeper_pid(folder)
        assert len(children_of(keeper)) == 1
    async with keeping(folder) as kept:
        assert await kept.client.sessions() == []
        assert children_of(keeper) == []


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


def words_of(path: Path) -> list[str]:
    return path.read_text().split()


def wait_until_written(path: Path, word: str) -> None:
    deadline = time.monotonic() + 20
    while word not in words_of(path):
        assert time.monotonic() < deadline, f"no {word} in {path}"
        select.select([], [], [], 0.01)


def children_of(pid: int | None) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def test_the_device_that_was_proved_by_pam_resumes_without_it(folder: Path) -> None:
    async with keeping(folder) as kept:
        user = Logon(kept, folder)
        terminal = await user.start(await user.proved(b"secret"))
        resume = Asked(session_id=1, attachment=1)
        said = await user.challenged(device=KEY, asked=resume)
        assert said.resume_seconds == 0  # another device showed it
        first = await kept.client.challenge(
            Challenge("user1", KEY.device_id, certificate(folder), (), 0)
        )
        assert isinstance(first, Challenged)
        outcome = await kept.client.prove(Prove(first.nonce, Method.PAM, "", b"", SHELL, 0))
        assert isinstance(outcome, Prompted)
        proved = await kept.client.prove(PamAnswer(first.nonce, 1, (b"secret",), 0))
        assert isinstance(proved, Proved)
        kept.client.note_shown(1, proved.proof_id, 2)
        resume = Asked(session_id=1, attachment=2)
        said = await user.challenged(device=KEY, asked=resume)
        assert 35_990 <= said.resume_seconds <= 36_000
        statement = statement_of(said, resume, certificate=certificate(folder))
        signed = replace(statement, method=Method.DEVICE, device_id=KEY.device_id)
        signature = KEY.public_key + KEY.sign(signed.signed_bytes())
        again = await kept.client.prove(
            Prove(said.nonce, Method.DEVICE, ED25519, signature, resume, 0)
        )
        assert isinstance(again, Proved)
        terminal.type(b"exit\n")
        await kept.ended.get()


# --- the certificate ------------------------------------------------------------------------------


async def test_a_host_whose_certificate_does_not_let_it_ask_does_not_start(folder: Path) -> None:
    host(folder, asks_secrets=False, pam=True)
    with pytest.raises(KeeperError, match="--asks-secrets"):
        async with keeping(folder):
            pass


async def test_a_renewed_certificate_that_does_not_let_it_ask_ends_asking(folder: Path) -> None:
    async with keeping(folder) as kept:
        user = Logon(kept, folder)
        host(folder, asks_secrets=False, pam=True)
        assert Methods.PAM not in Methods((await user.challenged()).methods)
        assert denied(await user.begin())
