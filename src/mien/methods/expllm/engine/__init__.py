"""The Exp-CoT engine: action units to written reasoning, and back."""
