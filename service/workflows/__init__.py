"""The workflows: one file each, one transaction each, every door and job goes through them. Each reads load, decide, commit."""
