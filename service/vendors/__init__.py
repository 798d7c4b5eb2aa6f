"""Where market data comes from: one module a source. They read files; what the rows are worth is judged in ``market``."""
