"""Reports of what was paid and why: standings, pending payouts, and what a stake earned beside the fund. They write nothing."""
