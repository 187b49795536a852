"""Durations of steps, from one worker's second to the result of a run."""
