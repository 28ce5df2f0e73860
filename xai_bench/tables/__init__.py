"""Tables as people have them: how a file is laid out, what its columns hold, and what becomes of each."""
