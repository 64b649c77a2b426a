"""Clips: frames with their true times, faces tracked through them, and what is derived from their course."""
