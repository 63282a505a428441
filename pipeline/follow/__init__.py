"""From frames to tracklets: detect, follow, collect what is worth keeping."""
