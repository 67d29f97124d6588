"""A device's tensors against the golden model's: not only that they differ, but where it began and why.

    report = refengine.diff("model.tflite", "dump.npz", image)
    print(report.summary)

`judging` tells culprits from victims, `verdict` looks for the cause among dialects, known `faults` and wrong `inputs`,
`evidence` weighs it, `text` and `page` show it. `check_input` judges what a device was fed by the sample that it was
made from: its `preparation` is found again among all that people make, and `feeding` weighs what speaks for it.
"""

from ..tensors.arrays import META
from ..tensors.difference import Difference, difference
from .check import check_input, judged, read_fed, read_samples
from .crcs import tapped
from .dumps import Dump, dump_of, read_dump
from .faults import FAULTS, FITS
from .feeding import Explanation, Fed
from .judging import diff, with_weights_of
from .preparation import Preparation
from .report import Finding, Report
from .sample import Sample
from .verdict import Candidate
from .ways import WAYS

__all__ = [
    "FAULTS",
    "FITS",
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
    "dump_of",
    "judged",
    "read_dump",
    "read_fed",
    "read_samples",
    "tapped",
    "with_weights_of",
]
