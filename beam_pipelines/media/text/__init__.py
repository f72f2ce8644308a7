"""What is said in a film, from its subtitles: cues of plain words on the film's clock."""
