"""Commands that read faces."""
