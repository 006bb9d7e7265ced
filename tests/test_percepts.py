"""What is told of percepts costs little, however large the picture."""

import tracemalloc

import numpy as np

from clearair.perception import load_compact
from clearair.percepts import label_areas


def test_areas_are_counted():
    labels = np.random.default_rng(0).integers(0, 5, (700, 300)).astype(np.uint8)
    assert label_areas(labels, 7).tolist() == [(labels == label).sum() for label in range(7)]


def test_telling_of_a_large_picture_takes_less_than_its_label_map():
    percepts = load_compact().perceive_image(np.zeros((3000, 4000, 3), np.uint8))
    percepts.to_dict()
    tracemalloc.start()
    try:
        percepts.to_dict()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < percepts.labels.nbytes
