"""The HTTP door: routes, keys, limits and the one error envelope. It parses, calls one workflow or query and renders."""
