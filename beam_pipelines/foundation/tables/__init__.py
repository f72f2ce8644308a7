"""Tables that people write: how they are written is found out, and their times become seconds."""
