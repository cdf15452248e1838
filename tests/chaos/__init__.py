"""Chaos: the whole pipeline with everything around it broken again and again, and its books.

``python -m tests.chaos --rounds 100 --seed 1`` (or ``make chaos ARGS="--rounds 100 --seed 1"``).
"""
