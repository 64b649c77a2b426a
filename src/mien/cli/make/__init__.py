"""Commands that train, export and draw."""
