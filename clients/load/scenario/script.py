"""Scenarios in Python: a class gives arrivals and thresholds, its coroutine is the journey."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Sequence
from inspect import isabstract, iscoroutinefunction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from clients.load.scenario import Closed, Open, Scenario
from clients.load.scenario.validation import ScenarioError, validated

if TYPE_CHECKING:
    from clients.load.visitors.visitor import Visitor

MODULE_PREFIX: Final = "tsfarm_scenario_"


class Script(ABC):
    """A subclass sets either `open` or `closed`; `name` is by default the class's. All journeys of
    a worker share one object.

        from clients.load import Open, Script, Stage, Visitor


        class Lunch(Script):
            open = Open(stages=(Stage(seconds=60, start_rate=2, rate=10),))
            thresholds = ("p99(reconnect) < 300ms", "errors < 0.1%")

            async def journey(self, visitor: Visitor) -> None:
                await visitor.logon()
                left = visitor.session
                await visitor.work(seconds=5, keystrokes=40)
                await visitor.disconnect()
                await visitor.think(20)
                await visitor.reconnect()
                visitor.check("lunch changes nothing", visitor.session == left)
                await visitor.logoff()

    `tsfarm load lunch.py` runs it. `clients.load.Visitor` documents the acts.
    """

    name: ClassVar[str] = ""
    about: ClassVar[str] = ""
    open: ClassVar[Open | None] = None
    closed: ClassVar[Closed | None] = None
    thresholds: ClassVar[Sequence[str]] = ()
    warm_up_seconds: ClassVar[float] = 0.0

    @abstractmethod
    async def journey(self, visitor: Visitor) -> None:
        """The acts of one visitor. Let JourneyEnded through: a failed act raises it."""


def load(script: str) -> Script:
    """Runs FILE.py[:CLASS] and makes its scenario. Raises ScenarioError."""
    path, _, class_name = script.partition(".py:")
    file = Path(path if path.endswith(".py") else f"{path}.py")
    kind = _choose(file, class_name, _scripts_of(_run(file)))
    if not iscoroutinefunction(kind.journey):
        raise ScenarioError(f"{file}: {kind.__name__}.journey: expected `async def journey`")
    try:
        return kind()
    except (Exception, SystemExit) as error:
        raise ScenarioError(_where(file, error)) from error


def scenario_of(script: Script) -> Scenario:
    """The class's scenario, validated. Raises ScenarioError."""
    kind = type(script)
    said = {
        "name": script.name or kind.__name__,
        "about": script.about,
        "open": script.open,
        "closed": script.closed,
        "thresholds": script.thresholds,
        "warm_up_seconds": script.warm_up_seconds,
    }
    where = f"{sys.modules[kind.__module__].__file__}:{kind.__name__}"
    try:
        raw = msgspec.to_builtins(said)
    except TypeError as error:
        raise ScenarioError(f"{where}: {error}") from None
    return validated(raw, where, is_scripted=True)


def _run(file: Path) -> ModuleType:
    """Imports the file as a module; it can import modules beside it, as any script can."""
    spec = importlib.util.spec_from_file_location(f"{MODULE_PREFIX}{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    folder = str(file.absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ScenarioError(_where(file, error)) from error
    return module


def _scripts_of(module: ModuleType) -> dict[str, type[Script]]:
    """The concrete scenarios that the module itself defines, by name."""
    return {
        name: found
        for name, found in vars(module).items()
        if isinstance(found, type)
        and issubclass(found, Script)
        and found.__module__ == module.__name__
        and not isabstract(found)
    }


def _choose(file: Path, class_name: str, scripts: dict[str, type[Script]]) -> type[Script]:
    if not scripts:
        raise ScenarioError(
            f"{file}: no scenario; expected a class of clients.load.Script with an"
            " `async def journey(self, visitor)`"
        )
    if not class_name and len(scripts) == 1:
        return next(iter(scripts.values()))
    if class_name in scripts:
        return scripts[class_name]
    known = ", ".join(scripts)
    if class_name:
        raise ScenarioError(f"{file}: no scenario {class_name}; expected one of {known}")
    raise ScenarioError(
        f"{file}: several scenarios, {known}; name one, as {file}:{next(iter(scripts))}"
    )


def _where(file: Path, error: BaseException) -> str:
    """The error, with the last line of the file that led to it."""
    own = os.path.abspath(file)
    if isinstance(error, SyntaxError) and error.filename == own:
        return f"{file}:{error.lineno}: {type(error).__name__}: {error.msg}"
    places = traceback.extract_tb(error.__traceback__)
    lines = [place.lineno for place in places if place.filename == own]
    if not lines and isinstance(error, OSError):
        return f"{file}: cannot be read: {error.strerror}"
    said = " ".join(str(error).split())
    return f"{file}:{lines[-1] if lines else 1}: {type(error).__name__}: {said}"
