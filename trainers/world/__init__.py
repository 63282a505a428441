"""The simulated world: people, places and cameras with perfect truth, drawn on a CPU from a seed."""
