"""History through the platform as if it were live: the crowd, the driver and the summary of a season."""
