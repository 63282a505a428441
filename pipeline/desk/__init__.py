"""What people may do; the command line and every other door call these."""
