"""Results of mien: frozen records."""
