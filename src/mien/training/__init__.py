"""Training: torch is imported from here on, and nowhere above. Install it with `pip install 'mien[train]'`."""
