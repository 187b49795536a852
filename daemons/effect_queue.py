"""The order in which effects are performed: none before what was decided earlier is durable."""

from __future__ import annotations

from collections import deque

from daemons.effects import Effect, Persist


class EffectQueue:
    """The order of effects: none is performed before every Persist decided earlier is durable.

    `add` returns the effects to perform at once, `commit` a batch to make durable, `committed` the
    effects to perform then. Every Persist that waits when a commit begins is in its batch.
    `is_idle` is True while nothing waits and no commit is under way.
    """

    def __init__(self) -> None:
        self._waiting: deque[Effect] = deque()
        self._behind_commit: list[Effect] = []
        self._committing = False
        self.is_idle = True

    def __len__(self) -> int:
        return len(self._waiting) + len(self._behind_commit)

    def add(self, effects: list[Effect]) -> list[Effect]:
        """Queue these effects. Returns those before the first Persist, if nothing waits."""
        if self._committing or self._waiting:
            self._waiting.extend(effects)
            return []
        for index, effect in enumerate(effects):
            if type(effect) is Persist:  # a tenth of the time of `isinstance`
                self._waiting.extend(effects[index:])
                self.is_idle = False
                return effects[:index]
        return effects

    def commit(self) -> list[Persist]:
        """Begin a commit. Empty while one is under way, and when nothing waits."""
        if self._committing or not self._waiting:
            return []
        self._committing = True
        batch = [effect for effect in self._waiting if type(effect) is Persist]
        self._behind_commit = [e for e in self._waiting if type(e) is not Persist]
        self._waiting.clear()
        return batch

    def committed(self) -> list[Effect]:
        """The batch is durable. Returns the effects that waited for it, and those decided since
        up to the next Persist, in order."""
        assert self._committing
        self._committing = False
        ready = self._behind_commit
        self._behind_commit = []
        while self._waiting and type(self._waiting[0]) is not Persist:
            ready.append(self._waiting.popleft())
        self.is_idle = not self._waiting
        return ready
