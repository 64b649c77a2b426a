"""SynFER: faces generated from expressions, words and action units, and labelled by what the generator sees in them.

He et al., ICCV 2025, https://arxiv.org/abs/2410.09865. README.md says what is known of the paper, where we differ, and
what was measured. Importing it imports no torch.
"""
