"""The shell: everything that touches a file, a socket, a clock or a database. Nothing is imported here."""
