"""ExpLLM: chains of thought about facial expressions. Importing it imports no torch; README.md introduces it."""
