"""What people look at: plots of curves and of training."""
