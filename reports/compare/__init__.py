"""Two run folders, or one and a paper, side by side: paired differences, what only one has, settings that differ."""
