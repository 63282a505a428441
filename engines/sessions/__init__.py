"""A network that is loaded: one face, several libraries behind it."""
