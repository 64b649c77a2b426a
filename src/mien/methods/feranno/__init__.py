"""FERAnno: a labeler that reads what a trained generator sees in a face."""
