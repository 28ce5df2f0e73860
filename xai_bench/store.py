"""``Store``, ``Results`` and ``read`` under the name that version 0.1 had; they live in ``xai_bench.results``."""

from xai_bench.results.frames import Results as Results
from xai_bench.results.store import Store as Store
from xai_bench.results.store import read as read
