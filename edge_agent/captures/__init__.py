"""Hard frames, kept on the device for relabelling.

`choose` says why a frame is worth keeping, `limits` whether there is a budget for it, `recorder`
hands it over, `writer` encodes and stores it (`store`, `ring`, `disk`) with its sidecar (`record`);
`shelf` reads back what was kept, and `export` turns it into what labelling tools import.
"""
