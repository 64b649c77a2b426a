"""The paper's size: Stable Diffusion with an adapter for action units."""
