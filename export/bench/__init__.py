"""Speed and error of exported graphs beside PyTorch: `compare` on CPUs, and the tables of `gpu` on GPUs."""
