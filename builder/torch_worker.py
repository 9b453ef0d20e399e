"""The reference in a process of its own: ``python -m builder.torch_worker CKPT IN.npy OUT.npy``.

PyTorch and ultralytics change settings of the process that imports them, and unpickle. So this runs
apart, and only on a checkpoint that the restricted reader has accepted.
"""

from __future__ import annotations

import sys


def main(checkpoint: str, tensors: str, output: str) -> None:
    """Run the original model over (n, 3, h, w) float32 tensors and save its raw outputs."""
    import numpy as np
    import torch
    from ultralytics.nn.tasks import torch_safe_load

    record, _ = torch_safe_load(checkpoint)
    model = (record.get("ema") or record["model"]).float().eval()
    with torch.inference_mode():
        rows = [
            model(torch.from_numpy(tensor[None]))[0].numpy()
            for tensor in np.load(tensors, allow_pickle=False)
        ]
    np.save(output, np.concatenate(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
