"""The load generator: drives a farm with synthetic devices and users, and measures it.

Exports the names that a scenario in Python needs; `Script` shows one.
"""

from clients.load.scenario import Closed, Open, Stage
from clients.load.scenario.script import Script
from clients.load.visitors.visitor import JourneyEnded, Visitor

__all__ = ["Closed", "JourneyEnded", "Open", "Script", "Stage", "Visitor"]
