"""Pictures as people have them: many files at once, arrays, PIL images."""
