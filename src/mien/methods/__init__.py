"""The methods, one folder each; README.md compares them."""
