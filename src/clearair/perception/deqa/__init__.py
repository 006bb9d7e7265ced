"""How, as the paper sees it: DeQA-Score, a language model that is asked how good an image is."""
