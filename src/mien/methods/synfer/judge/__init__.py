"""Judges: networks that measure generated faces and did not guide them."""
