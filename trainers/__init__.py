"""Jobs that train and measure: each reads top to bottom."""
