"""A plugin whose explainer forks, and whose child goes on."""

import os

from xai_bench import Explainer, register


@register
class Forks(Explainer):
    """Forks once it sees the rows of a suite."""

    name = "forks"
    needs = "data"

    def relevance(self, problem):
        if problem.d == 10:  # not while the worker warms up
            os.fork()
        return problem.X_train.var(0)
