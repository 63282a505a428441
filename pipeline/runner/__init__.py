"""What drives the stages: threads, queues, clocks and signals, here and nowhere else."""
