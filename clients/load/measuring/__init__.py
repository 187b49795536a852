"""What steps took, added up: from one worker's second to what a run found."""
