"""What the world did: calendars, price panels, universes, exposures, targets, and the numeric primitives of both sides."""
