"""One planted fault: a target that is right but for this."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any, TypeAlias
from unittest.mock import patch

import msgspec

from daemons.effects import Caller, Core, Effect
from tests.conformance.in_process_kinds import Wrap, unwrapped
from tsproto.messages import Message, Role

Plant: TypeAlias = Callable[[], AbstractContextManager[Any]]
Change: TypeAlias = Callable[[Effect], Sequence[Effect]]
Decide: TypeAlias = Callable[[Core, Caller, Message, float], list[Effect]]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """`found_by` is the case that is meant for it. The fault is around the core, or is planted in
    the code while the case runs."""

    name: str
    role: Role
    found_by: str
    wrap: Wrap = unwrapped
    plant: Plant = nullcontext


class Around:
    """A core of which one thing is different."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)


def deciding(decide: Decide) -> Wrap:
    """What the core decides on a message comes from `decide`, which may ask the core."""

    class Wrong(Around):
        def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
            return decide(self.core, caller, message, now)

    return Wrong


def hearing(change: Callable[[Message], Message | None]) -> Wrap:
    """The core hears another message than was said, or none."""

    def decide(core: Core, caller: Caller, message: Message, now: float) -> list[Effect]:
        heard = change(message)
        return [] if heard is None else core.on_message(caller, heard, now)

    return deciding(decide)


def doing(change: Change) -> Wrap:
    """Every effect of the core becomes what `change` makes of it."""

    class Wrong(Around):
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__("core")
            if not name.startswith("on_"):
                return super().__getattribute__(name) if name == "core" else getattr(found, name)
            decide = getattr(found, name)
            return lambda *args: [one for effect in decide(*args) for one in change(effect)]

    return Wrong


def dropping(is_dropped: Callable[[Effect], bool]) -> Wrap:
    return doing(lambda effect: [] if is_dropped(effect) else [effect])


def replaced(where: Any, name: str, wrong: Any) -> Plant:
    """While the case runs, `where.name` is `wrong`."""
    return lambda: patch.object(where, name, wrong)


def together(*plants: Plant) -> Plant:
    """One fault that shows in several places of the code."""

    @contextmanager
    def planted() -> Iterator[None]:
        with ExitStack() as stack:
            for plant in plants:
                stack.enter_context(plant())
            yield

    return planted


def limit(module: ModuleType, **wrong: float) -> Plant:
    """This module alone, and not the suite, sees other limits."""

    @contextmanager
    def planted() -> Iterator[None]:
        limits = SimpleNamespace(**{**vars(module.limits), **wrong})
        with patch.object(module, "limits", limits):
            yield

    return planted
