"""The rows of all terminal servers, found by host and number or by user.

A terminal server is the one writer of its rows; placement numbers fence what comes late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from tsproto.messages import SessionRow, SessionState

# Which of a user's sessions is offered first; one that is being logged off is not offered at all.
PREFERENCE = {SessionState.ACTIVE: 0, SessionState.CONNECTED: 1, SessionState.DISCONNECTED: 2}


class Sessions:
    def __init__(self) -> None:
        self._by_host: dict[str, dict[int, SessionRow]] = {}
        # Nearly every user has one session: it stands alone, for a container would weigh as much as
        # the row does.
        self._by_user: dict[str, SessionRow | tuple[SessionRow, ...]] = {}

    def of_host(self, host: str) -> Mapping[int, SessionRow]:
        """The host's rows by their numbers."""
        return self._by_host.get(host, {})

    def count(self, host: str) -> int:
        return len(self.of_host(host))

    def put(self, row: SessionRow) -> bool:
        """Add or change a row; False when the row that is there has a higher placement."""
        known = self.of_host(row.host).get(row.session_id)
        if known is not None and row.placement < known.placement:
            return False
        if known is not None:
            self._forget_user(known)
        self._by_host.setdefault(row.host, {})[row.session_id] = row
        others = self._of_user(row.user_name)
        self._by_user[row.user_name] = (*others, row) if others else row
        return True

    def remove(self, host: str, session_id: int, placement: int) -> bool:
        """Drop a row; False when there is none, or it has a higher placement."""
        known = self.of_host(host).get(session_id)
        if known is None or placement < known.placement:
            return False
        del self._by_host[host][session_id]
        self._forget_user(known)
        return True

    def replace(self, host: str, rows: Iterable[SessionRow]) -> None:
        """These rows, all of this host, are now the whole truth about it."""
        for known in self._by_host.pop(host, {}).values():
            self._forget_user(known)
        for row in rows:
            self.put(row)

    def of_user(self, user_name: str, application: str) -> list[SessionRow]:
        """The user's sessions for this application, the one to offer first at the front.

        ACTIVE before DISCONNECTED; among those alike the one that began, or was left, last.
        """
        found = [row for row in self._of_user(user_name) if row.application == application]
        if len(found) > 1:
            found.sort(key=_order)
        return found

    def page(
        self, user_name: str, after_host: str, after_id: int, size: int
    ) -> tuple[list[SessionRow], bool]:
        """At most `size` rows after that host and number, and whether there are more; only the
        user's, unless the name is empty."""
        after = (after_host, after_id)
        ordered = self._of_user_by_host(user_name) if user_name else self._from_host(after_host)
        rows = [*islice((r for r in ordered if (r.host, r.session_id) > after), size + 1)]
        return rows[:size], len(rows) > size

    def _of_user_by_host(self, user_name: str) -> Iterator[SessionRow]:
        return iter(sorted(self._of_user(user_name), key=_place))

    def _from_host(self, first: str) -> Iterator[SessionRow]:
        for host in sorted(host for host in self._by_host if host >= first):
            rows = self._by_host[host]
            yield from (rows[session_id] for session_id in sorted(rows))

    def _forget_user(self, row: SessionRow) -> None:
        others = tuple(other for other in self._of_user(row.user_name) if other is not row)
        if others:
            self._by_user[row.user_name] = others if len(others) > 1 else others[0]
        else:
            del self._by_user[row.user_name]

    def _of_user(self, user_name: str) -> tuple[SessionRow, ...]:
        found = self._by_user.get(user_name, ())
        return found if isinstance(found, tuple) else (found,)


def _place(row: SessionRow) -> tuple[str, int]:
    return row.host, row.session_id


def _order(row: SessionRow) -> tuple[int, int, int, str, int]:
    preference = PREFERENCE.get(row.state, len(PREFERENCE))
    used_at = max(row.created_at, row.disconnected_at)
    return preference, -used_at, -row.placement, row.host, row.session_id
