"""The pages: server-rendered, readable without an account, without a script, and by a keyboard or a screen reader alone."""
