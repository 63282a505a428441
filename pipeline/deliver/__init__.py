"""What leaves: events and tracklets, the outbox in front of them, the relay behind it."""
