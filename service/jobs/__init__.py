"""The jobs: what falls due when, who runs it, and what wakes the runner."""
