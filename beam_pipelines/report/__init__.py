"""What people look at: plots, pages of runs, and markers for editing programs."""
