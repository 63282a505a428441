"""Language models that look at two pictures and answer with one of two words."""
