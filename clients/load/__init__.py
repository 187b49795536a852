"""The load generator: synthetic devices and users on a farm of anybody's, and what it took.

What a scenario in Python needs is here by name; `Script` shows one.
"""

from clients.load.scenario import Closed, Open, Stage
from clients.load.scenario.script import Script
from clients.load.visitors.visitor import JourneyEnded, Visitor

__all__ = ["Closed", "JourneyEnded", "Open", "Script", "Stage", "Visitor"]
