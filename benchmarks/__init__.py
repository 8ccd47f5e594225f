"""What the figures are made of: each prints ratios against a peer, measured side by side in one run."""
