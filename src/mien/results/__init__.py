"""What comes out of mien: frozen records."""
