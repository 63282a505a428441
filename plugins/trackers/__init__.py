"""Who is the same from frame to frame."""
