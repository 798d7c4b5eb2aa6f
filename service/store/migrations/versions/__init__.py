"""The steps. Each is frozen once it was released: it names its types itself and imports nothing of ours."""
