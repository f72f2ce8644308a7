"""The training: step, loop, losses, checkpoints, history."""
