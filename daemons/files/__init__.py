"""Files, for daemons and clients alike: replaced durably, and read with mistakes explained.

The one place that both sides share besides `tsproto`; it imports neither of them.
"""
