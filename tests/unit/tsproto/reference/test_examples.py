import re

from tsproto import codec, discovery
from tsproto.messages import TABLE, ResizeSession
from tsproto.reference import examples
from tsproto.reference.examples import ANSWER, EXAMPLES, QUERY, frame_parts, struct_parts


def test_every_message_has_one_example() -> None:
    assert [type(message) for message, _ in EXAMPLES] == [TABLE[number] for number in sorted(TABLE)]


def test_the_parts_of_an_example_are_its_frame() -> None:
    for message, request_id in EXAMPLES:
        parts = b"".join(data for data, _ in frame_parts(message, request_id))
        assert parts == codec.encode(message, request_id)
        assert codec.decode_message(parts[codec.HEADER.size :]) == message


def test_an_example_is_shown_with_what_its_bytes_mean() -> None:
    shown = examples.example(ResizeSession)
    assert shown == (
        "```\n"
        "c9 00 00 00 06 00  frame: a message of 6 bytes\n"
        "94                 array of 4\n"
        "13                 number 19: ResizeSession\n"
        "00                 request_id 0\n"
        "cc 84              columns 132\n"
        "2b                 rows 43\n"
        "```"
    )


def test_long_values_are_cut_and_say_by_how_much() -> None:
    shown = examples.example(TABLE[12])
    assert re.search(r"^c4 d0 .*  token: 208 bytes\n\.\.\. 194 more$", shown, re.MULTILINE)


def test_the_datagrams_shown_are_datagrams() -> None:
    query = discovery.decode_query(discovery.encode_query(QUERY))
    assert query is not None
    assert len(b"".join(data for data, _ in struct_parts(query, []))) == 512
    answer = b"".join(data for data, _ in struct_parts(ANSWER, []))
    assert discovery.decode_answer(answer) == ANSWER
