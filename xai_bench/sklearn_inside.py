"""Parts of scikit-learn below its public names. Loading this module loads scikit-learn."""

from __future__ import annotations

from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = ["check_sample_weight"]
