"""One search for customers, the same on both databases: `folding` is its rule, `keeping` writes, `finding` reads."""
