"""Bundles: a settled round in one file that anybody can recompute, without this platform and without its database."""
