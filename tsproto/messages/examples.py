"""Values that the examples share: one device and one user of one farm, and their first license."""

from typing import Any

NOW = 1_800_000_000  # 15 January 2027, 08:00:00 UTC
DAY = 86_400
PLACEMENT = NOW * 1_000_000
LICENSE_ID = bytes.fromhex("cc1d3b0234846714b0aeda6cc34b057b")
# The document works out the device's proof from these: they fit together.
NONCE = bytes.fromhex("78377b525757b494427f89014f97d79928f3938d14eb51e20fb5dec9834eb304")
PUBLIC_KEY = bytes.fromhex("809667cd5bfecdc84bdd7b544e61ef258b96005f90bf87b623fa4fe06183347b")
DEVICE_ID = bytes.fromhex("e1b5e6a033977376e82a1d5ab5ddd90ca700e5c667564f82c82c7eb3af22a804")
SIGNATURE = bytes.fromhex(
    "a77bb30143910212308803399e5bfd99b0d95af946981a4773ca2752a6f06fff"
    "d4d1ba63f860fe52c0564b2e3c30d454a68632e981a92e4477cc60406f3aeb03"
)
# Only the first bytes of tokens, certificates and deny lists are shown.
TOKEN = bytes.fromhex("92c48b9d01a36c6162a96c6963656e73") + bytes(192)
CERTIFICATE = bytes.fromhex("308201a83082015aa003020102021413") + bytes(412)
DENY_LIST = bytes.fromhex("93c444") + bytes(32)
PRODUCT: dict[str, Any] = {"product": "terminal-server", "product_version": 1}
DEVICE: dict[str, Any] = {
    "device_id": DEVICE_ID,
    "device_name": "laptop",
    "user_name": "user1",
    **PRODUCT,
    "trace_id": "5f0c1d2e3a",
}
# The document works out the user's proof too: of user1 of the farm lab, to the host ts1, whose
# password is PASSWORD.
PASSWORD = "correct horse battery staple"
USER_SIGNATURE = bytes.fromhex(
    "9be100305b794e408f0e8dd483586830fcddd5d8084542447f5667f10e57d48b"
    "877ae8cbad288ad8e97d3bd769935a189e3eb27893a4ffa7460c13a20150380c"
)
ARGON2: dict[str, Any] = {
    "salt": bytes.fromhex("5f2b7ac10d9e4436b8f0276d1ac8935e"),
    "memory_kib": 65_536,
    "passes": 3,
    "lanes": 1,
}
