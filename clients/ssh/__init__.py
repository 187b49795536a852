"""The user's SSH keys, in an agent or in files, and proofs by them."""
