"""The sessions of all terminal servers, found by server and session id or by user.

Only a terminal server writes its rows; a row with a lower placement number comes too late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from tsproto.messages import SessionRow, SessionState

# Which of a user's sessions is offered first; one in RESET is being logged off and not offered.
PREFERENCE = {SessionState.ACTIVE: 0, SessionState.CONNECTED: 1, SessionState.DISCONNECTED: 2}


class SessionIndex:
    def __init__(self) -> None:
        self._by_server: dict[str, dict[int, SessionRow]] = {}
        # Nearly every user has one session, which is kept without a tuple: a tuple would take as
        # much memory as the row.
        self._by_user: dict[str, SessionRow | tuple[SessionRow, ...]] = {}

    def of_server(self, server: str) -> Mapping[int, SessionRow]:
        """The terminal server's rows by session id."""
        return self._by_server.get(server, {})

    def count(self, server: str) -> int:
        return len(self.of_server(server))

    def put(self, row: SessionRow) -> bool:
        """Add or change a row; False when the row that is there has a higher placement."""
        known = self.of_server(row.host).get(row.session_id)
        if known is not None and row.placement < known.placement:
            return False
        if known is not None:
            self._forget_user(known)
        self._by_server.setdefault(row.host, {})[row.session_id] = row
        others = self._of_user(row.user_name)
        self._by_user[row.user_name] = (*others, row) if others else row
        return True

    def remove(self, server: str, session_id: int, placement: int) -> bool:
        """Drop a row; False when there is none, or it has a higher placement."""
        known = self.of_server(server).get(session_id)
        if known is None or placement < known.placement:
            return False
        del self._by_server[server][session_id]
        self._forget_user(known)
        return True

    def replace(self, server: str, rows: Iterable[SessionRow]) -> None:
        """Put these rows in place of all that are known of the terminal server."""
        for known in self._by_server.pop(server, {}).values():
            self._forget_user(known)
        for row in rows:
            self.put(row)

    def of_user(self, user_name: str, application: str) -> list[SessionRow]:
        """The user's sessions for this application, the one to offer first at the front.

        ACTIVE before DISCONNECTED; of two in one state the one that began, or was left, last.
        """
        found = [row for row in self._of_user(user_name) if row.application == application]
        if len(found) > 1:
            found.sort(key=_order)
        return found

    def page(
        self, user_name: str, after_server: str, after_id: int, size: int
    ) -> tuple[list[SessionRow], bool]:
        """At most `size` rows after that server and session id, and whether there are more; only
        the user's, unless the name is empty."""
        after = (after_server, after_id)
        ordered = (
            self._of_user_by_server(user_name) if user_name else self._from_server(after_server)
        )
        rows = [*islice((r for r in ordered if (r.host, r.session_id) > after), size + 1)]
        return rows[:size], len(rows) > size

    def _of_user_by_server(self, user_name: str) -> Iterator[SessionRow]:
        return iter(sorted(self._of_user(user_name), key=_server_and_id))

    def _from_server(self, first: str) -> Iterator[SessionRow]:
        for server in sorted(server for server in self._by_server if server >= first):
            rows = self._by_server[server]
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


def _server_and_id(row: SessionRow) -> tuple[str, int]:
    return row.host, row.session_id


def _order(row: SessionRow) -> tuple[int, int, int, str, int]:
    preference = PREFERENCE.get(row.state, len(PREFERENCE))
    used_at = max(row.created_at, row.disconnected_at)
    return preference, -used_at, -row.placement, row.host, row.session_id
