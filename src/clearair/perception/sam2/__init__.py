"""SAM 2 as Where: automatic masks from its authors' files, flattened to a label map.

The network is transformers' (`pip install 'clearair[sam2]'`); grid, pixels and choice of masks are ours.
"""

from clearair.perception.sam2.loading import load_sam2
from clearair.perception.sam2.regions import Sam2Regions
from clearair.perception.sam2.settings import MaskSettings

__all__ = ["MaskSettings", "Sam2Regions", "load_sam2"]
