"""The table itself: what every entry of it must keep."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import inspect

from tsproto.messages import (
    ADMINISTRATOR,
    EVERYBODY,
    OPENED,
    RETIRED,
    TABLE,
    AnyMessage,
    Goodbye,
    Kind,
    LinkState,
    Message,
    Role,
)

MESSAGES = list(TABLE.values())
BY_NAME = {message.__name__: message for message in MESSAGES}
each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.__name__)


def test_every_declared_message_is_in_the_table_once() -> None:
    declared = {cls for cls in Message.__subclasses__() if hasattr(cls, "entry")}
    assert declared == set(MESSAGES) == set(AnyMessage.__args__)
    assert len(BY_NAME) == len(MESSAGES) == len(AnyMessage.__args__)


def test_numbers_are_small_and_none_is_used_again() -> None:
    assert all(0 < number < 128 for number in TABLE)
    assert not set(TABLE) & set(RETIRED)
    assert len(set(RETIRED)) == len(RETIRED)


@each_message
def test_a_message_explains_itself_unless_it_is_the_answer_to_one_request(
    message: type[Message],
) -> None:
    askers = [other for other in MESSAGES if message.__name__ in other.entry.answers]
    has_own_docstring = "__doc__" in vars(message) and message.__doc__
    assert has_own_docstring or len(askers) == 1


@each_message
def test_a_request_has_answers_and_nothing_else_has(message: type[Message]) -> None:
    assert bool(message.entry.answers) == (message.entry.kind is Kind.REQUEST)
    assert all(BY_NAME[name].entry.kind is Kind.ANSWER for name in message.entry.answers)


@each_message
def test_whoever_is_asked_may_send_each_answer(message: type[Message]) -> None:
    for name in message.entry.answers:
        assert message.entry.receivers <= BY_NAME[name].entry.senders
        assert message.entry.senders <= BY_NAME[name].entry.receivers


@each_message
def test_an_answer_answers_something_in_every_open_state(message: type[Message]) -> None:
    if message.entry.kind is Kind.ANSWER:
        assert message.entry.states == OPENED
        asked = [other for other in MESSAGES if message.__name__ in other.entry.answers]
        assert asked or message.entry.senders == EVERYBODY


@each_message
def test_a_row_names_somebody_and_some_state(message: type[Message]) -> None:
    entry = message.entry
    assert entry.senders and entry.receivers and entry.states
    assert LinkState.CLOSED not in entry.states
    assert entry.then is not LinkState.OPENING
    assert (entry.then is LinkState.CLOSED) == (message is Goodbye)


@each_message
def test_fields_are_positional_and_start_with_the_request_id(message: type[Message]) -> None:
    config = message.__struct_config__
    assert config.array_like and config.tag in TABLE
    assert message.__struct_fields__[0] == "request_id"


@each_message
def test_a_request_of_administrators_alone_wants_a_role_of_them(message: type[Message]) -> None:
    entry = message.entry
    is_theirs = entry.kind is Kind.REQUEST and entry.senders == ADMINISTRATOR
    assert (entry.wants is not None) == is_theirs


def test_every_bound_of_the_table_can_be_written_as_a_schema() -> None:
    (_, components) = msgspec.json.schema_components(MESSAGES)
    assert set(BY_NAME) <= set(components)


def test_roles_have_words() -> None:
    assert Role.TERMINAL_SERVER.words == "a terminal server"
    assert Role.ADMINISTRATOR.words == "an administrator"


FOR_A_SHELL = {"LogonProof.command"}
HOSTILE = ("\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066", "\u200d", "\ufeff", "\n", "\0")


def texts_of(kind: inspect.Type, name: str) -> Iterator[tuple[str, inspect.StrType]]:
    """The texts in a message or row, and in the rows in it."""
    match kind:
        case inspect.Metadata(type=inner) | inspect.ListType(item_type=inner):
            yield from texts_of(inner, name)
        case inspect.StructType():
            for field in kind.fields:
                yield from texts_of(field.type, f"{name}.{field.name}")
        case inspect.StrType():
            yield name, kind


def test_every_text_but_a_command_line_forbids_what_is_not_printable() -> None:
    texts = {
        name: kind
        for message in TABLE.values()
        for name, kind in texts_of(inspect.type_info(message), message.__name__)
    }
    assert len(texts) > 50
    allowing = {
        name
        for name, kind in texts.items()
        for character in HOSTILE
        if kind.pattern is None or re.search(kind.pattern, f"a{character}")
    }
    assert allowing == FOR_A_SHELL
