"""Methods compared on a network that was trained elsewhere, or on any function that predicts."""
