"""Files, for daemons and clients alike: replaced durably, read with mistakes explained, kept from
others; and no file that a process's memory is dumped to.

The one place that both sides share besides `tsproto`; it imports neither of them.
"""
