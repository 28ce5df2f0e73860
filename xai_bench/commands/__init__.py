"""The commands of ``xai-bench``, one file a group. ``cli`` lists them."""
