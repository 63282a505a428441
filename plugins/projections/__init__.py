"""Forms of others in which hits are said: pure functions of a hit's event."""
