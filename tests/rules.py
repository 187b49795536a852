"""The rules that `tests.test_architecture` holds the project to.

Every rule is a function from one file to what is wrong with it, and knows files by their place: a
new file is held to the rules of its folder from its first day.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("tsproto", "daemons", "clients")
FILE_LINES_MAX = 450
TEST_LINES_MAX = 600  # a test file is read a test at a time

# What makes an outcome depend on more than the arguments: waiting, clocks, chance, the system.
OUTSIDE_WORLD = (
    "asyncio",
    "importlib",
    "logging",
    "multiprocessing",
    "os",
    "pty",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "structlog",
    "subprocess",
    "threading",
    "time",
    "uvloop",
)
LIBRARIES_OF_TSPROTO = ("cryptography", "msgspec", "tsproto")

# Purity is a property of a path. A daemon's folder holds what decides; its `__main__` may see
# everything.
PURE = (
    "tsproto/*",
    "daemons/license_server/*",
    "daemons/session_directory/*",
    "daemons/terminal_server/*",
    "daemons/certificate_watch.py",
    "daemons/copied.py",
    "daemons/denials.py",
    "daemons/discovery.py",
    "daemons/effect_queue.py",
    "daemons/effects.py",
    "daemons/events.py",
    "daemons/procedures.py",
    "daemons/refusal.py",
    "daemons/routes.py",
    "daemons/settings.py",
    "daemons/statements.py",
    "daemons/switchboard.py",
    "clients/load/pacing/*",
    "clients/load/measuring/*",
    "clients/load/scenario/__init__.py",
    "clients/load/visitors/watches.py",
    "clients/logon/*",
)
IMPURE = ("tsproto/transport/*", "tsproto/error_text.py", "daemons/*/__main__.py")

# What daemons and clients share: it imports neither.
NEUTRAL = "daemons.files"

# A client may start daemons, and a lab. It imports what does so inside the function that needs it,
# so that `tsfarm connect` loads no daemon.
STARTERS = ("daemons.lab", "daemons.*.__main__")

EXEMPT_FROM_TESTS = {
    "*/__init__.py": "a docstring, or a contract that its implementations' tests keep",
    "daemons/*/__main__.py": "wiring: tests/integration and the demo start the real processes",
    "daemons/effects.py": "declarations; each is asserted on where it is decided",
    "daemons/*/records.py": "rows without behaviour, asserted on wherever they are decided",
    "tsproto/errors.py": "codes and their meanings; each is asserted where it is given",
    "tsproto/messages/*.py": "declarations, which test_messages.py holds to their rules",
    "tsproto/limits.py": "numbers; each is asserted on both sides where it counts",
    "daemons/store/memory.py": "test_store.py runs the contract's tests on every store",
    "daemons/settings.py": "keys and bounds, read and refused in test_config.py",
    "clients/conformance/*": "tests/conformance plays it on right and on planted wrong targets",
    "daemons/lab/*.py": "tests/integration/test_lab.py drives a whole lab",
}
# Everything else in clients and daemons prints through `clients.say`, or logs.
PRINT_BY_THEMSELVES = {
    "clients/say.py": "it is the place",
    "clients/conformance/progress.py": "it draws a status line, and makes other lines printable",
    "clients/load/report/*.py": "`rich` draws what they have made printable",
    "clients/load/command.py": "it prints a coloured summary, and a scenario as it is written",
    "daemons/accounts/__main__.py": "`tsfarm user` reads its own user's words alone",
    "daemons/keeper/own_log.py": "it is the place for a keeper, whose text is made printable",
}
WAIT_IN_REAL_TIME = {
    "tests/demo/*": "no test: it watches a farm from outside, as a person does, until a deadline",
    "clients/conformance/over_sockets.py": "somebody else's server has somebody else's clock",
}
EXEMPT_FROM_LENGTH = {
    "daemons/events.py": "the table: every event stands in one place",
}
EMPTY_NAMES = ("base", "common", "helper", "manager", "misc", "util")


class Import(msgspec.Struct, frozen=True, gc=False):
    """`target` is the module, or the name in it: both begin with what a rule forbids."""

    target: str
    line: int
    is_inside_function: bool


class File(msgspec.Struct, frozen=True):
    """`path` is relative to the project, with slashes."""

    path: str
    source: str

    @property
    def stem(self) -> str:
        return self.path.rsplit("/", 1)[-1].removesuffix(".py")

    @property
    def daemon(self) -> str:
        """The daemon in whose folder this is, or nothing."""
        match self.path.split("/"):
            case ["daemons", folder, _, *_] if folder != "store":
                return folder
        return ""

    def imports(self) -> list[Import]:
        return _imports_of(self)


# Trees are not kept: the garbage collector visits every kept node again and again, which takes
# longer than to parse the few files that a second rule looks into.
@cache
def _imports_of(file: File) -> list[Import]:
    return list(_imports(ast.parse(file.source), file, False))


def _imports(node: ast.AST, file: File, inside: bool) -> Iterator[Import]:
    for child in _statements(node):
        match child:
            case ast.Import(names=names, lineno=line):
                yield from (Import(alias.name, line, inside) for alias in names)
            case ast.ImportFrom(names=names, lineno=line):
                origin = _origin(child, file)
                yield from (Import(f"{origin}.{alias.name}", line, inside) for alias in names)
            case _:
                is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                yield from _imports(child, file, inside or is_function)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements of a block, and the `except` and `case` parts that hold more of them."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        yield from getattr(node, block, ())


def _origin(node: ast.ImportFrom, file: File) -> str:
    if not node.level:
        return node.module or ""
    package = file.path.split("/")[: -node.level]
    return ".".join([*package, node.module] if node.module else package)


@cache
def files_in(*folders: str) -> list[File]:
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [File(p.relative_to(ROOT).as_posix(), p.read_text(encoding="utf-8")) for p in paths]


def _is_in(target: str, modules: tuple[str, ...]) -> bool:
    return any(target == module or target.startswith(module + ".") for module in modules)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def is_pure(path: str) -> bool:
    return _matches(path, PURE) and not _matches(path, IMPURE)


Rule = Callable[[File], list[str]]


def _found(file: File, imports: list[Import], why: str) -> list[str]:
    return [f"{file.path}:{found.line} imports {found.target}: {why}" for found in imports]


# --- the rules ------------------------------------------------------------------------------------


def tsproto_knows_nobody(file: File) -> list[str]:
    if not file.path.startswith("tsproto/"):
        return []
    known = (*sys.stdlib_module_names, *LIBRARIES_OF_TSPROTO)
    foreign = [found for found in file.imports() if not _is_in(found.target, known)]
    return _found(file, foreign, f"tsproto stands on {', '.join(LIBRARIES_OF_TSPROTO)} alone")


def the_pure_touches_nothing(file: File) -> list[str]:
    if not is_pure(file.path):
        return []
    touching = [found for found in file.imports() if _is_in(found.target, OUTSIDE_WORLD)]
    return _found(file, touching, "what decides is given `now` and chance, and returns effects")


def the_pure_imports_the_pure(file: File) -> list[str]:
    if not is_pure(file.path):
        return []
    impure = [
        found
        for found in file.imports()
        if _is_in(found.target, PRODUCT) and not is_pure(_path(found.target))
    ]
    return _found(file, impure, "what decides must run in a simulator, without shell and store")


def _path(target: str) -> str:
    """The file that is imported, or nothing: only the disk tells a module from a name in one."""
    parts = target.split(".")
    modules = ("/".join(parts), "/".join(parts[:-1]))
    paths = (f"{module}{end}" for module in modules for end in (".py", "/__init__.py"))
    return next((path for path in paths if (ROOT / path).is_file()), "")


def daemons_meet_only_in_messages(file: File) -> list[str]:
    if not file.path.startswith("daemons/"):
        return []
    own = f"daemons.{file.daemon}"
    others = tuple(daemon for daemon in daemons_here() if daemon != own)
    foreign = [found for found in file.imports() if _is_in(found.target, others)]
    return _found(file, foreign, "what holds on one machine must hold on many")


def daemons_here() -> list[str]:
    folders = (path.parent.name for path in (ROOT / "daemons").glob("*/core.py"))
    return [f"daemons.{folder}" for folder in sorted(folders)]


def daemons_and_clients_meet_only_in_messages(file: File) -> list[str]:
    other = {"daemons": "clients", "clients": "daemons"}.get(file.path.split("/")[0])
    if other is None:
        return []
    crossing = [
        found
        for found in file.imports()
        if _is_in(found.target, (other,)) and not _is_in(found.target, (NEUTRAL,))
    ]
    if other == "daemons":
        crossing = [found for found in crossing if not _starts_a_daemon(found)]
    return _found(file, crossing, "they meet only in messages")


def the_neutral_imports_neither(file: File) -> list[str]:
    if not file.path.startswith(NEUTRAL.replace(".", "/") + "/"):
        return []
    sides = [
        found
        for found in file.imports()
        if _is_in(found.target, ("daemons", "clients")) and not _is_in(found.target, (NEUTRAL,))
    ]
    return _found(file, sides, "daemons and clients share it")


def _starts_a_daemon(found: Import) -> bool:
    is_starter = any(
        fnmatch(found.target, name) or fnmatch(found.target, f"{name}.*") for name in STARTERS
    )
    return found.is_inside_function and is_starter


def the_store_knows_no_core(file: File) -> list[str]:
    if not file.path.startswith("daemons/store/"):
        return []
    own = ("daemons.store", "daemons.effects.Record", "daemons.effects.Persist")
    contract = (*own, NEUTRAL, "tsproto")
    beyond = [
        found
        for found in file.imports()
        if _is_in(found.target, PRODUCT) and not _is_in(found.target, contract)
    ]
    return _found(file, beyond, "records describe themselves; a store needs Record and Persist")


def names_say_something(file: File) -> list[str]:
    parts = file.path.removesuffix(".py").split("/")
    words = {word.removesuffix("s") for part in parts for word in part.split("_")}
    empty = sorted(words.intersection(EMPTY_NAMES))
    return [f"{file.path}: `{word}` says nothing about what is in there" for word in empty]


def files_are_short(file: File) -> list[str]:
    lines = file.source.count("\n")
    lines_max = TEST_LINES_MAX if file.path.startswith("tests/") else FILE_LINES_MAX
    if lines <= lines_max or file.path in EXEMPT_FROM_LENGTH:
        return []
    return [f"{file.path} has {lines} lines, more than {lines_max}: it is two files"]


def no_test_sleeps(file: File) -> list[str]:
    if not file.path.startswith("tests/") or _matches(file.path, WAIT_IN_REAL_TIME):
        return []
    return _uses(file, ("time.sleep",), "wait for the event, or move a made-up `now`")


def text_is_printed_in_one_place(file: File) -> list[str]:
    """Text of a peer may stand in any line, and must command no terminal."""
    if not file.path.startswith(("clients/", "daemons/")) or _matches(
        file.path, PRINT_BY_THEMSELVES
    ):
        return []
    why = "`clients.say` makes text printable: use its functions"
    writers = ("click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write")
    prints = [
        f"{file.path}:{node.lineno} uses print: {why}"
        for node in ast.walk(ast.parse(file.source if "print(" in file.source else ""))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    return _uses(file, writers, why) + prints


def no_terminal_is_inherited(file: File) -> list[str]:
    why = "it leaves the terminal's master open in other users' sessions: use os.openpty"
    return _uses(file, ("pty.fork", "os.forkpty"), why)


def nothing_decided_is_dropped(file: File) -> list[str]:
    """A forgotten `do(…)` or `yield from` is silent otherwise."""
    if not file.path.startswith("daemons/"):
        return []
    declared = _declared(file)
    return [line for call in _calls_in(file) for line in _dropped(call, declared, file.path)]


def _dropped(call: _Call, declared: _Declared, path: str) -> list[str]:
    result, name = declared.result_of(call), ast.unparse(call.node.func)
    match call.use, result:
        case "statement", "effects":
            why = "returns effects that are dropped: return them, or hand them to do(*…)"
        case "statement", "procedure":
            why = "is a procedure that is never run: yield from it"
        case "yield from", "effects":
            why = "returns effects and waits for nothing: hand them to do(*…)"
        case _:
            return []
    return [f"{path}:{call.node.lineno} {name} {why}"]


class _Call(msgspec.Struct):
    """A call that stands alone as a statement, or after `yield from`, in a method of `owner`."""

    node: ast.Call
    use: str
    owner: str


class _Declared:
    """What the daemons' functions return, as far as their annotations and names tell."""

    def __init__(self) -> None:
        self.results: dict[str, set[str]] = {}  # by name, over all functions and methods
        self.methods: dict[tuple[str, str], str] = {}  # by class and name
        self.attributes: dict[tuple[str, str], str] = {}  # their classes, by class and name

    def add(self, file: File) -> None:
        for node in ast.walk(ast.parse(file.source)):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self.results.setdefault(node.name, set()).add(_result(node))
                case ast.ClassDef():
                    self._add_class(node)

    def _add_class(self, cls: ast.ClassDef) -> None:
        for method in cls.body:
            if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            self.methods[cls.name, method.name] = _result(method)
            arguments = [*method.args.args, *method.args.kwonlyargs]
            classes = {a.arg: ast.unparse(a.annotation) for a in arguments if a.annotation}
            for node in ast.walk(method):
                match node:
                    case ast.Assign(
                        targets=[ast.Attribute(value=ast.Name("self"), attr=attribute)],
                        value=ast.Name(name) | ast.Call(func=ast.Name(name)),
                    ):
                        self.attributes[cls.name, attribute] = classes.get(name, name)

    def result_of(self, call: _Call) -> str:
        """`effects`, `procedure`, or `other`, which also stands for what cannot be told."""
        owner = ""
        match call.node.func:
            case ast.Attribute(value=ast.Name("self"), attr=name):
                if (call.owner, name) in self.attributes:
                    return "other"  # a callable that was handed in
                owner = call.owner
            case ast.Attribute(value=ast.Attribute(ast.Name("self"), attribute), attr=name):
                owner = self.attributes.get((call.owner, attribute), "")
            case ast.Attribute(attr=name) | ast.Name(name):
                pass
            case _:
                return "other"
        if (owner, name) in self.methods:
            return self.methods[owner, name]
        results = self.results.get(name, set())
        return next(iter(results)) if len(results) == 1 else "other"


def _result(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    returns = ast.unparse(function.returns) if function.returns else ""
    if returns == "list[Effect]":
        return "effects"
    return "procedure" if returns.startswith("Procedure[") else "other"


def _declared(file: File) -> _Declared:
    known = _declared_by_daemons()
    if file in files_in("daemons"):
        return known
    declared = _Declared()
    declared.results = {name: set(results) for name, results in known.results.items()}
    declared.methods, declared.attributes = dict(known.methods), dict(known.attributes)
    declared.add(file)
    return declared


@cache
def _declared_by_daemons() -> _Declared:
    declared = _Declared()
    for file in files_in("daemons"):
        declared.add(file)
    return declared


def _calls_in(file: File) -> list[_Call]:
    calls = []

    def visit(node: ast.AST, owner: str) -> None:
        match node:
            case ast.ClassDef():
                owner = node.name
            case ast.Expr(value=ast.Call() as call):
                calls.append(_Call(call, "statement", owner))
            case ast.YieldFrom(value=ast.Call() as call):
                calls.append(_Call(call, "yield from", owner))
        for child in ast.iter_child_nodes(node):
            visit(child, owner)

    visit(ast.parse(file.source), "")
    return calls


def _uses(file: File, forbidden: tuple[str, ...], why: str) -> list[str]:
    """Uses of `module.name`, whether the module or the name was imported."""
    if not any(name.rsplit(".", 1)[-1] in file.source for name in forbidden):
        return []  # quicker than a walk, and most files end here
    imported = [(found.target, found.line) for found in file.imports()]
    attributes = [
        (ast.unparse(node), node.lineno)
        for node in ast.walk(ast.parse(file.source))
        if isinstance(node, ast.Attribute)
    ]
    uses = sorted({(line, name) for name, line in imported + attributes if name in forbidden})
    return [f"{file.path}:{line} uses {name}: {why}" for line, name in uses]


def files_without_tests(
    sources: list[File], tests: list[str], imported: Sequence[str] = ()
) -> list[str]:
    """A test imports the source, or bears its name; where several sources do, it stands in a folder
    named like its source's. `imported` is what tests import."""
    bearers = Counter(file.stem for file in sources)
    missing = []
    for file in sources:
        name = f"/test_{file.stem}.py"
        if bearers[file.stem] > 1:
            name = f"/{file.path.split('/')[-2]}{name}"
        module = file.path.removesuffix(".py").replace("/", ".")
        is_tested = any(test.endswith(name) for test in tests) or any(
            target == module or target.startswith(f"{module}.") for target in imported
        )
        if not is_tested and not _matches(file.path, EXEMPT_FROM_TESTS):
            missing.append(f"{file.path}: no tests/…{name}")
    return missing


def used_again(numbers: list[int], retired: tuple[int, ...]) -> list[int]:
    return sorted(number for number, uses in Counter([*numbers, *retired]).items() if uses > 1)
