"""Receipts: the directory's word that it saw a user's proof for a session on a terminal server.

A receipt is an HMAC under a secret that only the directory has, durable, so that rows keep their
receipts across its restarts. A change of password does not touch them.
"""

from __future__ import annotations

import hmac

from daemons.session_directory.records import DirectoryRecord
from tsproto.messages import SessionRow
from tsproto.user_proof import prefixed

RECEIPT_DOMAIN = b"tsfarm receipt 1\0"
SEEN = b"seen"  # takes the place of a good receipt: all rows share it


class Receipts:
    def __init__(self, record: DirectoryRecord) -> None:
        self._secret = record.secret

    def give(self, server: str, user_name: str, application: str, placement: int) -> bytes:
        named = prefixed(
            server.encode(), user_name.encode(), application.encode(), b"%d" % placement
        )
        return hmac.digest(self._secret, RECEIPT_DOMAIN + named, "sha256")

    def judged(self, row: SessionRow) -> bytes:
        """The receipt of a reported row as the directory keeps it: SEEN, or empty."""
        if not row.receipt:
            return b""
        good = self.give(row.host, row.user_name, row.application, row.placement)
        return SEEN if hmac.compare_digest(row.receipt, good) else b""
