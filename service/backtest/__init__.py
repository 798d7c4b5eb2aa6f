"""Backtests: the fund's decisions walked forward through the past, alone, in sweeps, and over sizes of the fund."""
