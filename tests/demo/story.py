"""The steps of the story. Each does what a person would do, looks at what a person would see, asks
the daemons what they hold, and returns a sentence made of what was really observed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from clients.known_lab import warp
from daemons import accounts, lab
from tests.demo.terminal import NotObserved, Terminal
from tests.integration import ssh
from tsproto.account import Account
from tsproto.limits import DAY_SECONDS, FULL_DAYS_MAX, FULL_DAYS_MIN, TEMPORARY_DAYS

Step = tuple[str, Callable[[], str]]
PLAN = lab.Plan(
    license_servers=(
        lab.LicenseServerPlan("license-a"),
        lab.LicenseServerPlan("license-b", tokens=2, workgroup="other"),
    ),
    shell=("/bin/sh",),  # the story is about the farm, not about anybody's profile
)
PATIENCE_SECONDS = 20.0
REFUSED_FOR_LICENSE = 3  # exit status of `tsfarm connect`, as its help lists them


def expect(held: bool, otherwise: str) -> None:
    if not held:
        raise NotObserved(otherwise)


def until(what: str, look: Callable[[], Any]) -> Any:
    """Look again and again until there is something to see."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (seen := look()):
        expect(time.monotonic() < deadline, f"waited {PATIENCE_SECONDS:.0f} s for {what}")
        time.sleep(0.05)
    return seen


class Story:
    """`traces` are what the clients recorded, in the order in which they were started."""

    def __init__(self, folder: Path, plan: lab.Plan) -> None:
        self.folder = folder
        self.plan = plan
        self.book = folder / "book.txt"
        self.traces: list[Path] = []
        self.shell_value = ""
        self._open = ExitStack()
        self._user1: Terminal

    def steps(self) -> list[Step]:
        return [
            ("the farm starts; terminal servers find a license server by broadcast", self.start),
            ("laptop1 connects to ts1: a temporary token, not validated", self.first_contact),
            ("user1 logs on, sets a variable, opens a pager: validated", self.first_logon),
            ("user1 disconnects; the program still runs", self.disconnect),
            ("user1 comes back through ts2: full token, same shell, same screen", self.roam),
            ("ts1 is killed with -9 and started again: same shell", self.survive_a_crash),
            ("laptop2 takes the last token, phone2 stays on a temporary", self.empty_the_pool),
            ("six days before its expiry user1's token is renewed", self.renew),
            ("no license server: user1 gets in, a new device does not", self.license_servers_away),
            ("laptop2's token expires, returns to the pool, goes to phone2", self.recover_a_token),
            ("the directory goes and comes back: its rows are true again", self.directory_away),
            ("two logons of user1 in the same instant: one session", self.at_once),
            ("user2 comes back through ts1 with an SSH key of an agent: no prompt", self.ssh_key),
        ]

    def end(self) -> None:
        self._open.close()
        if (self.folder / "lab.json").exists():
            lab.down(self.folder)

    # --- 1 to 4 ---------------------------------------------------------------------------------

    def start(self) -> str:
        made = lab.up(self.folder, self.plan, say=lambda line: None)
        (self.folder / "traces").mkdir()
        self.book.write_text("".join(f"line {n} of the book\n" for n in range(1, 200)))
        found = [
            f"{ts} chose {self._chosen_license_server(ts)} ({self._found_by(ts)})"
            for ts in self.plan.terminal_servers
        ]
        until("license-a to dial license-b, from which it borrows", self._can_borrow)
        return f"{len(made.daemons)} daemons run\n" + "\n".join(found)

    def first_contact(self) -> str:
        before = self._pools()
        terminal = self._user1 = self._open.enter_context(self._connect("ts1", "user1", "laptop1"))
        terminal.wait_for("(?i)password")
        token = self._token("laptop1")
        record = self._license_of("license-a", token)
        expect(token["kind"] == "temporary", f"the token is {token['kind']}")
        days = record["expires_at"] - record["issued_at"]
        expect(days == TEMPORARY_DAYS * DAY_SECONDS, f"valid for {days} s")
        expect(record["validated"] is False, "it is validated before anybody logged on")
        expect(self._pools() == before, f"pools were {before}, are {self._pools()}")
        return f"temporary, {days // DAY_SECONDS} days, not validated; pools unchanged: {before}"

    def first_logon(self) -> str:
        terminal = self._user1
        self._log_on(terminal, "user1")
        self.shell_value = f"kept-{os.getpid()}"
        terminal.type(f"VALUE={self.shell_value}; echo set:$VALUE\r")
        terminal.wait_for(f"set:{self.shell_value}")
        terminal.type(f"{_pager()} {self.book}\r")
        terminal.wait_for("line 20 of the book")
        record = until("the validation", lambda: self._validated("laptop1"))
        return f"{_pager()} shows the book; license {record['license_id'][:8]} is validated"

    def disconnect(self) -> str:
        self._user1.type("\x1dd")
        status = self._user1.wait_for_end()
        expect(status == 0, f"the client ended with status {status}:\n{self._user1.screen()}")
        session = until("the directory's row", lambda: self._session("user1", "disconnected"))
        program = self._pager_process()
        return f"session {session['session_id']} on {session['host']}; {program} still runs"

    # --- 5 to 8 ---------------------------------------------------------------------------------

    def roam(self) -> str:
        terminal = self._user1 = self._open.enter_context(self._connect("ts2", "user1", "laptop1"))
        terminal.wait_for("(?i)password")
        self._log_on(terminal, "user1", prompt=None)
        terminal.wait_for("line 20 of the book")
        prompts = terminal.transcript.lower().count("password")
        expect(prompts == 1, f"asked {prompts} times for a password: both hosts want a proof")
        expect("ts1" in terminal.transcript, "no word of a redirect to ts1")
        terminal.type("q")
        self._expect_same_shell(terminal)
        token = self._token("laptop1")
        record = self._license_of("license-a", token)
        days = (record["expires_at"] - record["issued_at"]) // DAY_SECONDS
        expect(token["kind"] == "full", f"the token is {token['kind']}")
        expect(FULL_DAYS_MIN <= days <= FULL_DAYS_MAX, f"valid for {days} days")
        expect(token["issuer"] == record["lender"] == "license-b", f"issued by {token['issuer']}")
        return (
            f"full token for {days} days, lent by license-b through license-a\n"
            "redirected to ts1, and proved there without a second prompt\n"
            f"the screen and VALUE={self.shell_value} are there"
        )

    def survive_a_crash(self) -> str:
        terminal = self._user1
        terminal.forget()
        lab.kill(self.folder, "ts1")
        terminal.wait_for("(?i)reconnect")
        pid = lab.start(self.folder, "ts1")
        terminal.forget()
        self._expect_same_shell(terminal)
        return f"ts1 is process {pid} now; the client came back by itself, same VALUE"

    def empty_the_pool(self) -> str:
        for device in ("laptop2", "phone2"):
            self._run("ts3", "user2", device, "true")
            until(f"the validation of {device}", partial(self._validated, device))
            self._run("ts3", "user2", device, "true")
        laptop, phone = self._token("laptop2"), self._token("phone2")
        expect(laptop["kind"] == "full", f"laptop2 holds a {laptop['kind']} token")
        expect(phone["kind"] == "temporary", f"phone2 holds a {phone['kind']} token")
        pools = self._pools()
        expect(pools["license-b"]["available"] == 0, f"pools are {pools}")
        return f"laptop2 full, phone2 temporary; license-b: {pools['license-b']}"

    def renew(self) -> str:
        old = self._token("laptop1")
        self._warp_to(old["expires_at"] - 6 * DAY_SECONDS)
        before = self._pools()
        self._run("ts2", "user1", "laptop1", "true")
        new = self._token("laptop1")
        gained = (new["expires_at"] - old["expires_at"]) / DAY_SECONDS
        expect(new["license_id"] == old["license_id"], "it is another license")
        expect(gained > 0, "its expiry did not move")
        expect(self._pools() == before, f"pools were {before}, are {self._pools()}")
        return f"same license, {gained:.0f} days gained, pools unchanged"

    # --- 9 to 13 --------------------------------------------------------------------------------

    def license_servers_away(self) -> str:
        for server in self.plan.license_servers:
            lab.stop(self.folder, server.name)
        said = self._run("ts2", "user1", "laptop1", "echo inside")
        expect(said.stdout.strip() == "inside", f"user1's command printed {said.stdout!r}")
        refused = self._run("ts2", "user2", "tablet2", "true", status=REFUSED_FOR_LICENSE)
        expect("license server" in refused.stderr, f"tablet2 reads {refused.stderr!r}")
        return f"user1 works; tablet2 reads: {refused.stderr.strip().splitlines()[-1]}"

    def recover_a_token(self) -> str:
        for server in self.plan.license_servers:
            lab.start(self.folder, server.name)
        self._warp_to(self._token("laptop2")["expires_at"] + 3600)
        until("the token's return", lambda: self._pools()["license-b"]["available"] == 1)
        back = self._pools()["license-b"]

        def phone_has_a_full_one() -> bool:
            self._run("ts3", "user2", "phone2", "true")
            return bool(self._token("phone2")["kind"] == "full")

        until("a full token on phone2", phone_has_a_full_one)
        return f"license-b after the expiry: {back}; phone2 now holds a full token"

    def directory_away(self) -> str:
        lab.stop(self.folder, "directory")
        with self._connect("ts3", "user2", "phone2") as terminal:
            self._log_on(terminal, "user2")
            terminal.type("\x1dd")
            expect(terminal.wait_for_end() == 0, terminal.screen())
        lab.start(self.folder, "directory")
        until("user2's row", lambda: self._session("user2", "disconnected"))
        until("user1's row", lambda: self._session("user1", "active"))
        until("all terminal servers", self._all_have_joined)
        rows = [f"{s['user_name']} on {s['host']} {s['state']}" for s in self._sessions()]
        with self._connect("ts3", "user1", "laptop1") as terminal:
            self._log_on(terminal, "user1")
            self._expect_same_shell(terminal)
            expect("ts1" in terminal.transcript, "not redirected to ts1")
            self._user1.wait_for_end()  # its session is shown elsewhere now
            terminal.type("exit\r")
            terminal.wait_for_end()
        until("the end of user1's session", lambda: not self._session("user1"))
        return "a logon without the directory; then its rows: " + ", ".join(rows)

    def at_once(self) -> str:
        with self._connect("ts2", "user1", "laptop1") as one:
            with self._connect("ts3", "user1", "desktop1") as two:
                for terminal in (one, two):
                    terminal.wait_for("(?i)password")
                password = self._password("user1")
                typed = [
                    threading.Thread(target=terminal.type, args=(password + "\r",))
                    for terminal in (one, two)
                ]
                for thread in typed:
                    thread.start()
                for thread in typed:
                    thread.join()
                until("the session", lambda: self._session("user1", "active"))
                shown = until("the end of one client", lambda: self._displaced(one, two))
                rows = [s for s in self._sessions() if s["user_name"] == "user1"]
                expect(len(rows) == 1, f"the directory has {len(rows)} rows of user1: {rows}")
                return f"one session, {rows[0]['session_id']} on {rows[0]['host']}; {shown}"

    def ssh_key(self) -> str:
        session = until("user2's session", lambda: self._session("user2", "disconnected"))
        expect(session["host"] == "ts3", f"it is on {session['host']}")
        key = self.folder / "user2_key"
        line = make_key(key)
        self._give_key("user2", line)
        words = self._connect_command("ts1", "user2", "phone2")
        with ExitStack() as stack:
            environment, where = self._environment(), "in its file"
            if shutil.which("ssh-agent"):
                agent = stack.enter_context(ssh.running(self.folder))
                agent.add(key)
                key.unlink()
                environment, where = {**environment, **agent.environment}, "in ssh-agent alone"
            else:
                words += ["--identity-file", str(key)]
            terminal = stack.enter_context(Terminal(words, environment))
            terminal.wait_for("redirected to ts3")
            terminal.wait_for(r"[$#] ")
            expect("password" not in terminal.transcript.lower(), "a password was asked for")
            shown = until("user2's session", lambda: self._session("user2", "active"))
            same = shown["session_id"] == session["session_id"]
            expect(same, f"session {session['session_id']} became {shown['session_id']}")
            terminal.type("exit\r")
            terminal.wait_for_end()
        return f"the key is {where}; session {shown['session_id']} on ts3 is shown, without a word"

    # --- what a person does ---------------------------------------------------------------------

    def _connect(self, host: str, user: str, device: str) -> Terminal:
        return Terminal(self._connect_command(host, user, device), self._environment())

    def _connect_command(self, host: str, user: str, device: str) -> list[str]:
        daemon = lab.load(self.folder).daemon(host)
        self.traces.append(self.folder / "traces" / f"{len(self.traces) + 1:02}-{device}")
        return [
            *_tsfarm(),
            "connect",
            f"{daemon.host}:{daemon.port}",
            "--user",
            user,
            "--store",
            str(self.folder / "devices" / device),
            "--trace",
            str(self.traces[-1]),
            *self._trust(),
        ]

    def _trust(self) -> list[str]:
        if not self.plan.tls:
            return ["--plain"]
        return ["--ca", str(self.folder / "pki" / "authority.crt")]

    def _log_on(self, terminal: Terminal, user: str, prompt: str | None = "(?i)password") -> None:
        if prompt:
            terminal.wait_for(prompt)
        terminal.type(self._password(user) + "\r")
        terminal.wait_for(r"[$#] |line 20 of the book")

    def _give_key(self, user: str, line: str) -> None:
        """Adds an SSH key to the account; the terminal servers read the file again."""

        def with_key(known: Mapping[str, Account]) -> list[Account]:
            return [msgspec.structs.replace(known[user], ssh_keys=(line,))]

        accounts.change(self.folder / "accounts", lab.load(self.folder).farm, with_key)

    def _run(
        self, host: str, user: str, device: str, command: str, status: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """`tsfarm connect … -- COMMAND`, which must end with this status."""
        done = subprocess.run(
            [
                *self._connect_command(host, user, device),
                "--password-file",
                str(self.folder / "users" / user),
                "--",
                *command.split(),
            ],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        expect(
            done.returncode == status,
            f"{device} on {host}: status {done.returncode}, wanted {status}: {done.stderr}",
        )
        return done

    def _expect_same_shell(self, terminal: Terminal) -> None:
        terminal.type("\recho value:$VALUE\r")
        terminal.wait_for(f"value:{self.shell_value}")

    def _displaced(self, one: Terminal, two: Terminal) -> str:
        for name, terminal in (("laptop1", one), ("desktop1", two)):
            try:
                terminal.wait_for("(?i)another client|shown by another", seconds=0.3)
            except NotObserved:
                continue
            return f"{name} was told that another client shows it"
        return ""

    # --- what the daemons hold ------------------------------------------------------------------

    def _query(self, *words: str) -> Any:
        done = subprocess.run(
            [*_tsfarm(), "query", *words, "--lab", str(self.folder), "--json"],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        expect(done.returncode == 0, f"query {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)

    def _pools(self) -> dict[str, dict[str, int]]:
        """Pools that have, or had, tokens, by their license server."""
        names = ("total", "available", "issued", "lent")
        return {
            pool["server"]: {name: pool[name] for name in names}
            for pool in self._query("pool")
            if any(pool[name] for name in names)
        }

    def _sessions(self) -> list[dict[str, Any]]:
        return list(self._query("session"))

    def _session(self, user: str, state: str = "") -> dict[str, Any] | None:
        for session in self._sessions():
            if session["user_name"] == user and session["state"].lower() == (
                state or session["state"].lower()
            ):
                return session
        return None

    def _all_have_joined(self) -> bool:
        states = [server["state"].lower() for server in self._query("server")]
        return states == ["ready"] * len(self.plan.terminal_servers)

    def _licenses(self, device: str) -> list[dict[str, Any]]:
        wanted = self._token(device)["device_id"]
        return [row for row in self._query("license") if row["device_id"] == wanted]

    def _license_of(self, server: str, token: dict[str, Any]) -> dict[str, Any]:
        for row in self._query("license"):
            if row["server"] == server and row["license_id"] == token["license_id"]:
                return dict(row)
        raise NotObserved(f"{server} has no record of license {token['license_id']}")

    def _validated(self, device: str) -> dict[str, Any] | None:
        return next((row for row in self._licenses(device) if row["validated"]), None)

    def _token(self, device: str) -> dict[str, Any]:
        store = str(self.folder / "devices" / device)
        done = subprocess.run(
            [*_tsfarm(), "license", "show", "--store", store, "--json"],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        expect(done.returncode == 0, f"license show: {done.stderr}")
        licenses = json.loads(done.stdout)
        expect(len(licenses) == 1, f"{device} holds {len(licenses)} tokens")
        return dict(licenses[0])

    def _chosen_license_server(self, terminal_server: str) -> str:
        return str(self._known_license_server(terminal_server)["name"])

    def _found_by(self, terminal_server: str) -> str:
        found = self._known_license_server(terminal_server)["found"]
        expect(found == "workgroup", f"found by {found}, not by broadcast in its workgroup")
        return f"found in its {found}"

    def _known_license_server(self, terminal_server: str) -> dict[str, Any]:
        def chosen() -> dict[str, Any] | None:
            rows = self._query("license-server", "--of", terminal_server)
            return next((row for row in rows if row["chosen"]), None)

        return dict(until(f"{terminal_server}'s license server", chosen))

    def _can_borrow(self) -> bool:
        """A server asks only those that it has dialled: that one dialled it is not enough."""
        complete, _, _ = (self.folder / "license-a" / "log").read_text().rpartition("\n")
        lines = [json.loads(line) for line in complete.splitlines()]
        return any(
            line["event"] == "peer.linked" and line["found"] != "dialled us" for line in lines
        )

    def _pager_process(self) -> str:
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except (OSError, ValueError):
                continue
            if str(self.book).encode() in words and words[0].endswith(_pager().encode()):
                return f"{_pager()} (process {entry.name})"
        raise NotObserved(f"no {_pager()} shows {self.book} any more")

    def _warp_to(self, when: int) -> None:
        ahead = when - (time.time() + lab.clock_offset(self.folder))
        if ahead > 0:
            warp(self.folder, ahead)

    def _password(self, user: str) -> str:
        return (self.folder / "users" / user).read_text().strip()

    def _environment(self) -> dict[str, str]:
        kept = {
            key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "LC_ALL")
        }
        return {**kept, "TERM": "xterm-256color", "HOME": str(self.folder), "NO_COLOR": "1"}


def make_key(file: Path) -> str:
    """Writes an SSH private key; returns the line of its public one."""
    key = Ed25519PrivateKey.generate()
    file.touch(mode=0o600)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _tsfarm() -> list[str]:
    return [str(Path(sys.executable).with_name("tsfarm"))]


def _pager() -> str:
    """A pager of the machine: less where it is installed, else more, which Debian always has."""
    return "less" if shutil.which("less") else "more"
