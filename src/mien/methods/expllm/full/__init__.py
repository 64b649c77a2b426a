"""The full size: any vision tower and any causal language model of the hub, joined and tuned with LoRA as published.

Lan et al., IEEE TMM 27, 2025: DINOv2 or another tower, Vicuna or another language model, both frozen but for low-rank
changes of their query and value projections; only the projector between them is trained whole. Needs the extra `llm`.

Letters: B conversations, T tokens, V words.
"""
