"""Parts of the detector's training: pictures, augmentation, which cell answers for whom, losses, judgement."""
