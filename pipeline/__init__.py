"""What flows through musewatch and what drives it."""
