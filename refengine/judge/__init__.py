"""A device's tensors against the golden model's: not only that they differ, but where it began and why.

    from refengine.judge import read_dump
    report = refengine.diff(plan, read_dump(plan, "dump.npz"), image)

`compare` measures, `judging` tells culprits from victims, `verdict` looks for the cause among dialects and the known
`faults`, `text` and `page` show it. `check_input` judges what a device was fed by the sample that it was made from: its
`preparation` is found again among all that people make, and `feeding` weighs what speaks for it.
"""

from ..tensors.arrays import META
from ..tensors.difference import Difference, difference
from .check import check_input, judged, read_fed, read_samples
from .dumps import Dump, read_dump
from .faults import FAULTS
from .feeding import Explanation, Fed
from .judging import Finding, Report, diff, tapped
from .preparation import Preparation
from .sample import Sample
from .verdict import Candidate
from .ways import WAYS

__all__ = [
    "FAULTS",
    "META",
    "WAYS",
    "Candidate",
    "Difference",
    "Dump",
    "Explanation",
    "Fed",
    "Finding",
    "Preparation",
    "Report",
    "Sample",
    "check_input",
    "diff",
    "difference",
    "judged",
    "read_dump",
    "read_fed",
    "read_samples",
    "tapped",
]
