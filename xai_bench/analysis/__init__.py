"""Which inputs of a user's own table tell something about its target, and how sure that is."""
