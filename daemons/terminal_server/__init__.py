"""The terminal server: who may come in from which device, and where their session is."""
