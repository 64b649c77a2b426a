"""Vision-language models behind one interface."""
