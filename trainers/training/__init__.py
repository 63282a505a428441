"""What every training job shares: its state on disk, its learning rate, its progress."""
