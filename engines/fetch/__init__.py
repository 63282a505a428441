"""Public engines brought from their publishers, by digest, when an operator asks for it; never at run time."""
