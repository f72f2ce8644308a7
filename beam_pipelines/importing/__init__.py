"""Features that others computed, as feature records. No Beam."""
