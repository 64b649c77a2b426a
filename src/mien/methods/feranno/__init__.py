"""FERAnno: a labeller of faces that reads the features of a trained generator."""
