"""Drivers carry out journeys: users with terminals, or bare requests to one kind of daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.load.scenario import Drives

if TYPE_CHECKING:
    from clients.load.drivers.directory import Directory
    from clients.load.drivers.licenses import Licenses
    from clients.load.drivers.users import Users


def driver_class(drives: Drives) -> type[Users] | type[Licenses] | type[Directory]:
    """A class is imported only when it is used. Its `rules` are the rules of the farm that it
    checks, each with the steps that check it; no steps where every journey does."""
    match drives:
        case "users":
            from clients.load.drivers.users import Users

            return Users
        case "licenses":
            from clients.load.drivers.licenses import Licenses

            return Licenses
        case "directory":
            from clients.load.drivers.directory import Directory

            return Directory
