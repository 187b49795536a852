"""How bytes become messages."""

from __future__ import annotations

from tsproto.errors import ErrorCode
from tsproto.messages import DAEMONS, EVERYBODY
from tsproto.requirements.requirement import must, should

FRAMES = (
    must(
        "FRAME-01",
        EVERYBODY,
        "An end MUST write every frame as a msgpack ext 32 object, however short its body is.",
    ),
    must(
        "FRAME-02",
        EVERYBODY,
        "An end that receives anything else where a frame begins, a shorter ext form included,"
        " MUST end the connection with MALFORMED_FRAME.",
        ErrorCode.MALFORMED_FRAME,
    ),
    must(
        "FRAME-03",
        EVERYBODY,
        "An end that receives a frame of a kind other than 0 and 1 MUST end the connection with"
        " UNKNOWN_FRAME_KIND.",
        ErrorCode.UNKNOWN_FRAME_KIND,
    ),
    must(
        "FRAME-04",
        EVERYBODY,
        "In the states OPENING, LICENSING and LOGON, and in LEAVING after LOGON, an end MUST accept"
        " a body of FRAME_BYTES_BEFORE_LOGON bytes, and MUST end the connection with FRAME_TOO_LONG"
        " when a header says more.",
        ErrorCode.FRAME_TOO_LONG,
    ),
    must(
        "FRAME-05",
        EVERYBODY,
        "In the states SERVICE and SESSION, and in LEAVING after SESSION, an end MUST accept a body"
        " of FRAME_BYTES bytes, and MUST end the connection with FRAME_TOO_LONG when a header says"
        " more.",
        ErrorCode.FRAME_TOO_LONG,
    ),
    must(
        "FRAME-06",
        EVERYBODY,
        "An end MUST refuse a frame by its header, as soon as the header shows the fault, and"
        " MUST NOT wait for the body.",
        ErrorCode.FRAME_TOO_LONG,
    ),
    must(
        "FRAME-07",
        EVERYBODY,
        "An end MUST understand frames in whatever pieces their bytes arrive: one byte at a"
        " time, or several frames at once.",
    ),
    must(
        "FRAME-08",
        EVERYBODY,
        "An end MUST handle frames in the order in which they arrive.",
    ),
    must(
        "FRAME-09",
        DAEMONS,
        "A daemon that listens with TLS MUST NOT accept a version below TLS 1.3.",
    ),
    must(
        "FRAME-10",
        EVERYBODY,
        "An end that finds both a length that is too great and an unknown kind in one header"
        " MUST answer with FRAME_TOO_LONG.",
        ErrorCode.FRAME_TOO_LONG,
    ),
)

VALUES = (
    must(
        "VALUE-01",
        EVERYBODY,
        "An end that receives a field of another type than the table's MUST end the connection"
        " with MALFORMED_MESSAGE: no type stands for another, and nil stands for none.",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    must(
        "VALUE-02",
        EVERYBODY,
        "An end MUST accept every value at the bounds of its field, and MUST end the connection"
        " with MALFORMED_MESSAGE for one beyond them.",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    must(
        "VALUE-03",
        EVERYBODY,
        "An end that receives a text that its field's pattern does not match as a whole MUST"
        " end the connection with MALFORMED_MESSAGE.",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    must(
        "VALUE-04",
        EVERYBODY,
        "An end that receives a number that is not in the field's enumeration MUST end the"
        " connection with MALFORMED_MESSAGE.",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    must(
        "VALUE-05",
        EVERYBODY,
        "An end that misses a field without a default MUST end the connection with"
        " MALFORMED_MESSAGE.",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    must(
        "VALUE-06",
        EVERYBODY,
        "An end MUST give a field that is missing at the end of a message or row its default.",
    ),
    must(
        "VALUE-07",
        EVERYBODY,
        "An end MUST ignore fields after the last one that it knows, in messages and in rows.",
    ),
    must(
        "VALUE-08",
        EVERYBODY,
        "An end that receives a body that is not exactly one msgpack array with an integer at"
        " its front MUST end the connection with MALFORMED_MESSAGE.",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    must(
        "VALUE-09",
        EVERYBODY,
        "An end that receives a message number that it does not know, a retired one included,"
        " MUST end the connection with UNKNOWN_MESSAGE, in every state.",
        ErrorCode.UNKNOWN_MESSAGE,
    ),
    must(
        "VALUE-10",
        EVERYBODY,
        "An end that receives a text that is not UTF-8 MUST end the connection with"
        " MALFORMED_MESSAGE.",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    must(
        "VALUE-11",
        EVERYBODY,
        "An end MUST accept every form that msgpack has for an integer, a length or an array,"
        " the longer ones included.",
    ),
    should(
        "VALUE-12",
        EVERYBODY,
        "An end SHOULD write every value in msgpack's shortest form.",
    ),
    must(
        "VALUE-13",
        EVERYBODY,
        "An end MUST make its checks in the order of the chapter, and answer a message that has"
        " several faults with the code of the first.",
    ),
)

REQUIREMENTS = (
    *FRAMES,
    *VALUES,
)
