"""The films and files of a scoring run: writing a film's files, and finding finished films. No Beam."""
