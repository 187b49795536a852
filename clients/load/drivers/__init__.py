"""Drivers carry out journeys: users with terminals, or bare requests to one kind of daemon."""
