"""One file per source (or pair of sources) that features are made of; `FEATURES` in each is its contents."""
