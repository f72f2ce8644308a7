"""What a scored film leaves on disk, and how a later run finds it. No Beam."""
