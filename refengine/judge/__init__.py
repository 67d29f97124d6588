"""A device's tensors against the golden model's: not only that they differ, but where it began and why.

    from refengine.judge import read_dump
    report = refengine.diff(plan, read_dump(plan, "dump.npz"), image)

`evidence` weighs, `judging` tells culprits from victims, `verdict` looks for the cause among dialects and the known
`faults`, `text` and `page` show it.
"""

from ..tensors.difference import Difference, difference
from .dumps import META, Dump, read_dump
from .faults import FAULTS, FITS
from .judging import Finding, Report, diff, tapped
from .verdict import Candidate

__all__ = [
    "FAULTS",
    "FITS",
    "META",
    "Candidate",
    "Difference",
    "Dump",
    "Finding",
    "Report",
    "diff",
    "difference",
    "read_dump",
    "tapped",
]
