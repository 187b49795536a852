"""How the suite brings a message to the target: in which role, in which state, on which link. All
of it comes from the table but the questions: how a peer makes the target ask something is written
once for each request that it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from clients.conformance import wire
from clients.conformance.acting import CaseContext, logon_accepted
from clients.conformance.device import DAY
from clients.conformance.peer import Peer
from clients.conformance.target import Setup
from clients.conformance.user import PAM
from tsproto import messages
from tsproto.messages import TABLE, Kind, LinkState, Message, Role

Asking: TypeAlias = Callable[[CaseContext], tuple[Peer, Message]]

# Steps that the target takes after this one of its own alone.
FOLLOWS = {
    (Role.TERMINAL_SERVER, "LogonProof"): "LogonChallenge",
    (Role.TERMINAL_SERVER, "ChangePassword"): "LogonChallenge",
    (Role.TERMINAL_SERVER, "PamAnswers"): "PamPrompt",
}
OPEN_STATES = (LinkState.LICENSING, LinkState.LOGON, LinkState.SESSION)


class Spot(msgspec.Struct, frozen=True):
    """A place where a message is lawful: our role, the state of the link, for an answer the request
    that it answers, and for a step the target's message that it follows."""

    role: Role
    state: LinkState
    asked: str = ""
    after: str = ""

    @property
    def words(self) -> str:
        asked = f"-to-{self.asked}" if self.asked else ""
        after = f"-after-{self.after}" if self.after else ""
        return f"{self.role.name.lower().replace('_', '-')}-in-{self.state.value}{asked}{after}"


def diallers(target: Role) -> tuple[Role, ...]:
    """The roles that dial this daemon: those that have requests or notifications for it."""
    return tuple(role for role in Role if any(_is_told(target, role, m) for m in TABLE.values()))


def _is_told(target: Role, role: Role, kind: type[Message]) -> bool:
    entry = kind.entry
    is_for_all = entry.senders >= messages.DAEMONS
    is_mutual = len(entry.senders) > 1 and entry.senders == entry.receivers
    is_own_word = entry.kind is not Kind.ANSWER and not is_for_all and not is_mutual
    return is_own_word and role in entry.senders and target in entry.receivers


def states(target: Role, role: Role) -> tuple[LinkState, ...]:
    """The states after OPENING in which a link between these two roles can stay."""
    return OPEN_STATES if Role.CLIENT in (target, role) else (LinkState.SERVICE,)


def setup_of(spot: Spot) -> Setup:
    """PLAYED where the message answers a request of the target, PAM after a prompt, else RIGHT."""
    if spot.after == "PamPrompt":
        return Setup.PAM
    return Setup.PLAYED if spot.asked else Setup.RIGHT


def open_spots(target: Role) -> Iterator[Spot]:
    """Every role and state in which a link to the target stays open, without the roles that it
    dials."""
    for role in (Role.TERMINAL_SERVER,) if target is Role.CLIENT else diallers(target):
        for state in states(target, role):
            yield Spot(role, state)


def spots(target: Role, kind: type[Message]) -> Iterator[Spot]:
    """Every spot at which the target may receive this message."""
    entry = kind.entry
    if target not in entry.receivers:
        return
    if entry.kind is Kind.ANSWER:
        yield from _answering_spots(target, kind)
        return
    dialled = (Role.TERMINAL_SERVER,) if target is Role.CLIENT else diallers(target)
    for role in dialled:
        if role not in entry.senders:
            continue
        for state in (LinkState.OPENING, *states(target, role)):
            if state in entry.states:
                yield Spot(role, state, after=FOLLOWS.get((target, kind.__name__), ""))


def _answering_spots(target: Role, kind: type[Message]) -> Iterator[Spot]:
    for (asker, request), asked in QUESTIONS.items():
        is_answer = kind.__name__ in TABLE_BY_NAME[request].entry.answers
        if asker is target and is_answer and asked.role in kind.entry.senders:
            yield Spot(asked.role, LinkState.SERVICE, request)


TABLE_BY_NAME = {kind.__name__: kind for kind in TABLE.values()}


def reach(context: CaseContext, spot: Spot) -> tuple[Peer, int]:
    """A peer at this spot, and the id of the request to answer, 0 for none."""
    if spot.asked:
        peer, request = QUESTIONS[context.target.role, spot.asked].ask(context)
        return peer, request.request_id
    if context.target.role is Role.CLIENT:
        return _reach_client(context, spot.state), 0
    match spot.state:
        case LinkState.OPENING:
            return context.dial(spot.role), 0
        case LinkState.LICENSING:
            return context.licensing()[0], 0
        case LinkState.LOGON:
            return _in_logon(context, spot.after), 0
        case LinkState.SESSION:
            return context.logged_on(), 0
    return context.open(spot.role), 0


def _in_logon(context: CaseContext, after: str) -> Peer:
    client = context.licensed()
    if after:
        context.challenged(client, context.user())
        if after == "PamPrompt":
            client.say(messages.LogonProof(method=PAM))
            client.hear(messages.PamPrompt)
    return client


def _reach_client(context: CaseContext, state: LinkState) -> Peer:
    """A terminal server that the client under test has dialled, at this spot."""
    if state is LinkState.OPENING:
        server = context.accept_unwelcomed(Role.TERMINAL_SERVER)
        server.hear(messages.Hello)
        return server
    server = context.accept(Role.TERMINAL_SERVER)
    if state is LinkState.LICENSING:
        return server
    start = context.client_logon(server)
    if state is LinkState.SESSION:
        context.challenge(server, start)
        server.hear(messages.LogonProof)
        server.say(logon_accepted(start.user_name))
    return server


def said(values: list[Any], request_id: int) -> bytes:
    """The frame of these values with this request id."""
    return wire.framed([values[0], request_id, *values[2:]])


# --- how the target is made to ask --------------------------------------------------------------


class Question(msgspec.Struct, frozen=True):
    """How to make the target ask one request; `role` is whom it asks."""

    role: Role
    ask: Asking


def _asks_to_acquire(context: CaseContext) -> tuple[Peer, Message]:
    license_server = context.accept(Role.LICENSE_SERVER)
    context.show(context.device())
    return license_server, license_server.hear(messages.AcquireLicense)


def _asks_to_renew(context: CaseContext) -> tuple[Peer, Message]:
    license_server = context.accept(Role.LICENSE_SERVER)
    device, issuer = context.device(), context.issuer()
    ends_soon = context.claims(device, issuer, expires_at=int(context.now) + DAY)
    context.holds(device, ends_soon, issuer)
    context.show(device)
    return license_server, license_server.hear(messages.RenewLicense)


def _asks_to_validate(context: CaseContext) -> tuple[Peer, Message]:
    license_server = context.accept(Role.LICENSE_SERVER)
    device, issuer = context.device(), context.issuer()
    client = context.show(device)
    claims = context.claims(device, issuer, kind=messages.LicenseKind.TEMPORARY)
    license_server.answer(
        license_server.hear(messages.AcquireLicense), context.issued(claims, issuer)
    )
    context.take_license(client, device)
    context.log_on(client, context.user())
    return license_server, license_server.hear(messages.MarkValidated)


def _asks_to_join(context: CaseContext) -> tuple[Peer, Message]:
    directory = context.accept(Role.SESSION_DIRECTORY)
    return directory, directory.hear(messages.JoinFarm)


def _asks_to_synchronize(context: CaseContext) -> tuple[Peer, Message]:
    directory, join = _asks_to_join(context)
    directory.answer(join, messages.Joined(generation=bytes(16)))
    return directory, directory.hear(messages.SyncSessions)


def joined_directory(context: CaseContext) -> Peer:
    """The directory that the target has joined and told all its sessions."""
    directory, sync = _asks_to_synchronize(context)
    while isinstance(sync, messages.SyncSessions):
        directory.answer(sync, messages.Done())
        if sync.last:
            break
        sync = directory.hear(messages.SyncSessions)
    return directory


def fully_licensed(context: CaseContext) -> Peer:
    """A client in its logon phase whose device holds a full token, about which no license server
    need be asked."""
    device, issuer = context.device(), context.issuer()
    context.holds(device, context.claims(device, issuer), issuer)
    return context.licensed(device)


def _asks_to_place(context: CaseContext) -> tuple[Peer, Message]:
    directory = joined_directory(context)
    client = fully_licensed(context)
    context.prove(client, context.user())
    return directory, directory.hear(messages.PlaceSession)


def _asks_to_lend(context: CaseContext) -> tuple[Peer, Message]:
    peer = context.accept(Role.LICENSE_SERVER)
    product = context.fresh_name("product")
    peer.say(
        messages.AnnounceInventory(
            inventory=[messages.InventoryRow(product=product, product_version=1, available=1)]
        )
    )
    validated_device(context, product, wanting=True)
    return peer, peer.hear(messages.LendLicense)


def validated_device(
    context: CaseContext, product: str, *, wanting: bool = False
) -> tuple[Peer, bytes]:
    """A terminal server, and the id of a device with a validated temporary token. `wanting`: the
    terminal server has asked for a license again, and its answer is not read yet."""
    server = context.open(Role.TERMINAL_SERVER)
    device_id = context.rng.randbytes(32)
    acquire = acquire_license(device_id, product)
    server.ask_for(messages.LicenseIssued, acquire)
    server.ask_for(messages.Done, mark_validated(device_id, product))
    if wanting:
        server.request(acquire)
    return server, device_id


def acquire_license(
    device_id: bytes, product: str, version: int = 1, trace_id: str = ""
) -> messages.AcquireLicense:
    return messages.AcquireLicense(
        device_id=device_id,
        device_name="device",
        user_name="user",
        product=product,
        product_version=version,
        trace_id=trace_id,
    )


def mark_validated(device_id: bytes, product: str) -> messages.MarkValidated:
    return messages.MarkValidated(
        device_id=device_id, product=product, product_version=1, user_name="user"
    )


def _asks_lender_to_renew(context: CaseContext) -> tuple[Peer, Message]:
    return renewal_under_way(context)[:2]


def renewal_under_way(context: CaseContext) -> tuple[Peer, messages.RenewLicense, Peer]:
    """A lender that was asked to renew a token, that request, and the terminal server that waits
    for it."""
    lender, lend = _asks_to_lend(context)
    assert isinstance(lend, messages.LendLicense)
    issuer = context.issuer()
    lent = context.claims_of(lend.device_id, lend.product, issuer, license_id=lend.loan_id)
    lent = msgspec.structs.replace(lent, expires_at=int(context.now) + DAY)
    lender.answer(lend, context.issued(lent, issuer))
    context.target.let_pass(0.1)
    server = context.open(Role.TERMINAL_SERVER)
    server.request(
        messages.RenewLicense(
            license_id=lent.license_id,
            device_id=lent.device_id,
            device_name="device",
            user_name="user",
            product=lent.product,
            product_version=1,
        )
    )
    return lender, lender.hear(messages.RenewLicense), server


QUESTIONS: dict[tuple[Role, str], Question] = {
    (Role.TERMINAL_SERVER, "AcquireLicense"): Question(Role.LICENSE_SERVER, _asks_to_acquire),
    (Role.TERMINAL_SERVER, "RenewLicense"): Question(Role.LICENSE_SERVER, _asks_to_renew),
    (Role.TERMINAL_SERVER, "MarkValidated"): Question(Role.LICENSE_SERVER, _asks_to_validate),
    (Role.TERMINAL_SERVER, "JoinFarm"): Question(Role.SESSION_DIRECTORY, _asks_to_join),
    (Role.TERMINAL_SERVER, "SyncSessions"): Question(Role.SESSION_DIRECTORY, _asks_to_synchronize),
    (Role.TERMINAL_SERVER, "PlaceSession"): Question(Role.SESSION_DIRECTORY, _asks_to_place),
    (Role.LICENSE_SERVER, "LendLicense"): Question(Role.LICENSE_SERVER, _asks_to_lend),
    (Role.LICENSE_SERVER, "RenewLicense"): Question(Role.LICENSE_SERVER, _asks_lender_to_renew),
}

# A client asks QueryAuthority only before any case begins, so there is no spot for its answer.
UNASKED = {(Role.CLIENT, "QueryAuthority")}
