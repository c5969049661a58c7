"""image.py OUT NAME ENTRYPOINT FOLDER: an image of one layer, as `docker save` writes it and `ctr images import` reads it.

For what the node itself needs; the product's images come from charts/images/build."""
import hashlib
import io
import json
import sys
import tarfile

out, name, entrypoint, folder = sys.argv[1:]
layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as archive:
    archive.add(folder, arcname=".")
content = layer.getvalue()
config = json.dumps({
    "architecture": "amd64", "os": "linux", "config": {"Entrypoint": entrypoint.split(), "User": "65532:65532"},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest()]},
}).encode()
parts = {
    "layer.tar": content,
    "config.json": config,
    "manifest.json": json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode(),
}
with tarfile.open(out, "w") as archive:
    for path, data in parts.items():
        entry = tarfile.TarInfo(path)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
