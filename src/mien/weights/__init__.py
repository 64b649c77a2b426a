"""The embedded models; CARDS.md says what each was trained on and how good it is."""
