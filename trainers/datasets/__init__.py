"""Public data sets and our world's crops, read from a folder that is given: one `Sample`, official splits, checks."""
