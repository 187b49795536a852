"""`python -m daemons.accounts`, which `tsfarm user` runs: one request in JSON on standard input,
the reply in JSON on standard output; an error is a line on standard error and status 1.

So no password is ever an argument, which others could read.
"""

from __future__ import annotations

import sys

import msgspec

from daemons.accounts.commands import AnyRequest, perform
from daemons.accounts.file import AccountsError
from tsproto.printable import printable_lines


def main() -> int:
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=AnyRequest)
    try:
        reply = perform(request)
    except AccountsError as error:
        sys.stderr.write(f"tsfarm: {printable_lines(str(error))}\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(reply))
    return 0


if __name__ == "__main__":
    sys.exit(main())
