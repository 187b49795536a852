"""Administrators' queries and commands."""

from __future__ import annotations

import msgspec

from clients.conformance.acting import CaseContext
from clients.conformance.case import (
    DAEMONS,
    LICENSE_SERVER,
    SESSION_DIRECTORY,
    TERMINAL_SERVER,
    Case,
    Chapter,
)
from clients.conformance.cases.license_server import Product
from clients.conformance.cases.logon import log_off
from clients.conformance.farm import Farm
from clients.conformance.reach import fully_licensed
from clients.conformance.target import Setup
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AddKeyPack,
    Done,
    Licenses,
    LicenseServers,
    Pools,
    QueryLicenses,
    QueryLicenseServers,
    QueryPools,
    QueryServers,
    QuerySessions,
    Role,
    Servers,
    ServerState,
    Sessions,
    WarpClock,
)

chapter = Chapter()


@chapter.case("ADMIN-01", LICENSE_SERVER)
def pools_in_order(context: CaseContext) -> None:
    product = Product(context, tokens=3, version=2)
    product.buy(4, version=1)
    pools = context.open(Role.ADMINISTRATOR).ask_for(Pools, QueryPools()).pools
    keys = [(pool.product, pool.product_version) for pool in pools]
    context.check(keys == sorted(keys), "pools ordered by product and version")
    totals = [pool.total for pool in pools if pool.product == product.name]
    context.check(totals == [4, 3], "both pools that were bought")


@chapter.case("ADMIN-02", LICENSE_SERVER)
def licenses_page_by_page(context: CaseContext) -> None:
    product = Product(context)
    wanted = {product.acquire(product.device()).license_id for _ in range(limits.PAGE_ROWS + 1)}
    admin = context.open(Role.ADMINISTRATOR)
    page = admin.ask_for(Licenses, QueryLicenses())
    context.check(len(page.licenses) == limits.PAGE_ROWS and page.more, "a full page, and more")
    seen = [row.license_id for row in page.licenses]
    while page.more:
        page = admin.ask_for(Licenses, QueryLicenses(after=seen[-1]))
        seen += [row.license_id for row in page.licenses]
    context.check(seen == sorted(set(seen)), "each once, in the order of their ids")
    context.check(wanted <= set(seen), "every license that was issued")


@chapter.case("ADMIN-03", LICENSE_SERVER)
def one_devices_licenses(context: CaseContext) -> None:
    product = Product(context, tokens=1)
    device_id, issued = product.full()
    product.acquire(product.device())
    admin = context.open(Role.ADMINISTRATOR)
    page = admin.ask_for(Licenses, QueryLicenses(device_id=device_id))
    context.check({row.device_id for row in page.licenses} == {device_id}, "this device's alone")
    context.check(issued.license_id in {row.license_id for row in page.licenses}, "its full one")


@chapter.case("ADMIN-04", LICENSE_SERVER)
def a_pack_counts_once(context: CaseContext) -> None:
    product = Product(context)
    pack = _pack(context, product.name)
    admin = context.open(Role.ADMINISTRATOR)
    for _ in range(3):
        admin.ask_for(Done, pack)
    context.check(product.counts() == (5, 0, 0), "five tokens")


@chapter.case("ADMIN-05", LICENSE_SERVER)
def another_pack_of_that_name(context: CaseContext) -> None:
    product = Product(context)
    pack = _pack(context, product.name)
    admin = context.open(Role.ADMINISTRATOR)
    admin.ask_for(Done, pack)
    for other in (
        msgspec.structs.replace(pack, tokens=6),
        msgspec.structs.replace(pack, product_version=2),
        msgspec.structs.replace(pack, product=context.fresh_name("product")),
    ):
        admin.expect_refused(other, ErrorCode.KEY_PACK_CONFLICT)
    context.check(product.counts() == (5, 0, 0), "five tokens still")


def _pack(context: CaseContext, product: str) -> AddKeyPack:
    return AddKeyPack(
        key_pack=context.fresh_name("pack"), product=product, product_version=1, tokens=5
    )


@chapter.case("ADMIN-06", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_terminal_servers_license_servers(context: CaseContext) -> None:
    played = context.accept(Role.LICENSE_SERVER)
    context.target.let_pass(0.1)
    servers = (
        context.open(Role.ADMINISTRATOR).ask_for(LicenseServers, QueryLicenseServers()).servers
    )
    chosen = [server.name for server in servers if server.chosen]
    context.check(chosen == [played.name], "the one license server, chosen")


@chapter.case("ADMIN-06", LICENSE_SERVER, setup=Setup.PLAYED)
def a_license_servers_peers(context: CaseContext) -> None:
    played = context.accept(Role.LICENSE_SERVER)
    context.target.let_pass(0.1)
    servers = (
        context.open(Role.ADMINISTRATOR).ask_for(LicenseServers, QueryLicenseServers()).servers
    )
    context.check([server.name for server in servers] == [played.name], "the one peer")


@chapter.case("ADMIN-07", SESSION_DIRECTORY)
def sessions_page_by_page(context: CaseContext) -> None:
    farm, user = Farm(context), context.fresh_name("user")
    for host in (0, 1):
        for session_id in range(1, limits.PAGE_ROWS // 2 + 2):
            row = farm.row(host, session_id, user_name=user)
            farm.servers[host].say(messages.UpdateSession(session=row))
        farm.report(host, 900, user_name=user)
    admin = context.open(Role.ADMINISTRATOR)
    page = admin.ask_for(Sessions, QuerySessions(user_name=user))
    context.check(len(page.sessions) == limits.PAGE_ROWS and page.more, "a full page, and more")
    last = page.sessions[-1]
    query = QuerySessions(user_name=user, after_host=last.host, after_id=last.session_id)
    rest = admin.ask_for(Sessions, query)
    context.check(not rest.more, "no more after the last page")
    seen = [(row.host, row.session_id) for row in (*page.sessions, *rest.sessions)]
    context.check(seen == sorted(set(seen)), "each once, by host and number")
    context.check(len(seen) == 2 * (limits.PAGE_ROWS // 2 + 2), "all of them")


@chapter.case("ADMIN-07", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_hosts_own_sessions(context: CaseContext) -> None:
    numbers = []
    for application in ("app1", "app2", "app3"):
        client = fully_licensed(context)
        accepted = context.log_on(client, context.user(), application=application)
        numbers.append(accepted.session_id)
    admin = context.open(Role.ADMINISTRATOR)
    everything = admin.ask_for(Sessions, QuerySessions()).sessions
    context.check([row.session_id for row in everything] == sorted(numbers), "all three in order")
    query = QuerySessions(after_host=everything[0].host, after_id=everything[0].session_id)
    rest = admin.ask_for(Sessions, query).sessions
    context.check([row.session_id for row in rest] == sorted(numbers)[1:], "those after the first")


@chapter.case("ADMIN-08", SESSION_DIRECTORY)
def one_users_sessions(context: CaseContext) -> None:
    farm = Farm(context)
    user = context.fresh_name("user")
    farm.report(0, 1, user_name=user)
    farm.report(0, 2, user_name=context.fresh_name("user"))
    query = QuerySessions(user_name=user)
    sessions = context.open(Role.ADMINISTRATOR).ask_for(Sessions, query).sessions
    context.check([row.session_id for row in sessions] == [1], "the one session of this user")


@chapter.case("ADMIN-08", TERMINAL_SERVER)
def one_users_sessions_of_a_host(context: CaseContext) -> None:
    clients = [context.logged_on(user=context.user(index)) for index in (0, 1)]
    admin = context.open(Role.ADMINISTRATOR)
    query = QuerySessions(user_name=context.user(1).name)
    sessions = admin.ask_for(Sessions, query).sessions
    context.check(
        {row.user_name for row in sessions} == {context.user(1).name}, "this user's alone"
    )
    for client in clients:
        log_off(client)


@chapter.case("ADMIN-09", SESSION_DIRECTORY)
def servers_with_their_numbers(context: CaseContext) -> None:
    farm = Farm(context)
    farm.report(0, 1)
    farm.place(1)
    servers = context.open(Role.ADMINISTRATOR).ask_for(Servers, QueryServers()).servers
    names = [server.name for server in servers]
    context.check(names == sorted(names), "servers ordered by name")
    ours = {server.name: server for server in servers}
    first, second = (ours[name] for name in farm.names)
    context.check((first.state, first.sessions, first.pending) == (ServerState.READY, 1, 0), "one")
    context.check(
        (second.state, second.sessions, second.pending) == (ServerState.READY, 0, 1), "two"
    )


@chapter.case("ADMIN-10", *DAEMONS, setup=Setup.OUTSIDE_A_LAB)
def no_clock_outside_a_lab(context: CaseContext) -> None:
    context.open(Role.ADMINISTRATOR).expect_refused(WarpClock(), ErrorCode.NOT_PERMITTED)


@chapter.case("ADMIN-11", LICENSE_SERVER)
def a_viewer_buys_nothing(context: CaseContext) -> None:
    context.needs_certificates()
    product = Product(context)
    for name in ("viewer", "operator"):
        administrator = context.open(Role.ADMINISTRATOR, name=name)
        pack = _pack(context, product.name)
        refused = administrator.expect_refused(pack, ErrorCode.NOT_PERMITTED)
        context.check("admin" in refused.detail, "the role admin named in the detail")
        administrator.ask_for(Pools, QueryPools())


@chapter.case("ADMIN-11", *DAEMONS)
def a_viewer_moves_no_clock(context: CaseContext) -> None:
    context.needs_certificates()
    viewer = context.open(Role.ADMINISTRATOR, name="viewer")
    refused = viewer.expect_refused(WarpClock(), ErrorCode.NOT_PERMITTED)
    context.check("operator" in refused.detail, "the role operator named in the detail")


def cases() -> list[Case]:
    return chapter.cases
