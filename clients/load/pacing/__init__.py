"""When journeys begin, and the timer that is as exact as that."""
