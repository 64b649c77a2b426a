"""Metrics with confidence intervals: arrays in, numbers out."""
