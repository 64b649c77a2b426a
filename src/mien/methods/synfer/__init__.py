"""SynFER: faces generated from expressions, words and action units, and labelled from the generator's features.

He et al., ICCV 2025, https://arxiv.org/abs/2410.09865. README.md describes the paper, our differences and the
measurements. Importing it imports no torch.
"""
