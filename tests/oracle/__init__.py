"""A slow, independent computation of the performance answer, straight from sections 4, 5 and 8 of the design.

It reads no SQL and no code of joulegate: the tests compare the reader's answers with it. What the text leaves open is
decided in README.md beside this file, as a numbered list that comments refer to ("interpretation 7").
"""

from oracle.answer import Answer, MeterTotal, Quality, Status, performance, unattributed_kwh_ac
from oracle.attribution import Attribution, Pairing, attributions, bucket_of
from oracle.energy import Judged, Outcome, energies
from oracle.model import EnergyKind, Fleet, Link, MeterPoint, Point, Stream, VehiclePoint

__all__ = [
    "Answer",
    "Attribution",
    "EnergyKind",
    "Fleet",
    "Judged",
    "Link",
    "MeterPoint",
    "MeterTotal",
    "Outcome",
    "Pairing",
    "Point",
    "Quality",
    "Status",
    "Stream",
    "VehiclePoint",
    "attributions",
    "bucket_of",
    "energies",
    "performance",
    "unattributed_kwh_ac",
]
