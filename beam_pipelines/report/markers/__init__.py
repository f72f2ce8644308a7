"""Peaks and turning points of curves, as markers for editing programs and players."""
