"""What is done to a network before it runs: other precisions, calibration, the gate, comparison; all offline."""
