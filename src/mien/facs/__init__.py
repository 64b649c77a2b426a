"""The field's vocabulary: expressions, action units, landmarks and what they say of each other."""
