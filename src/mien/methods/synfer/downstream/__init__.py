"""What generated faces are worth: the four ways of learning in which the paper uses them, at the size of FER2013.

Each file is one of them; arms of a comparison differ in their faces alone, and take the same steps.
"""
