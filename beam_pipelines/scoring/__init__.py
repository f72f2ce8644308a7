"""The files of a scored film: writing them, and finding them in a later run. No Beam."""
