"""Give a saved model the fingerprint of other perceivers, without training it again.

    python tools/adopt_perceivers.py models/compact models/eyes -o models/adopted

A model refuses perceivers other than those it was trained with. Use this only for perceivers whose answers
are close to those, and measure the result.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clearair.models import load_model, save_model
from clearair.perception import load_compact


def main() -> None:
    """Read a model and perceivers, and write the model that names them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="name or folder of the model")
    parser.add_argument("perceivers", type=Path, help="folder of the perceivers")
    parser.add_argument("--output", "-o", type=Path, required=True, help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a model in that folder")
    options = parser.parse_args()
    network = load_model(options.model).build()
    perceivers = load_compact(options.perceivers)
    save_model(network, options.output, perceivers=perceivers, overwrite=options.overwrite)
    print(f"{options.model}, guided by {options.perceivers} -> {options.output}")


if __name__ == "__main__":
    main()
