"""From crops and words to unit vectors."""
