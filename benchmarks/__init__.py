"""Measurements of speed and memory beside peers, each as a ratio within one run: ``python -m benchmarks`` runs them all.

What it is not: tests. Nothing here passes or fails, and no test asserts a time, because a time is a fact about a machine.
"""
