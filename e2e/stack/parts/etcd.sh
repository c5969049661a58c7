# shellcheck shell=bash
# Without fsync: a kill keeps everything, only a power cut would lose the cluster, and this one is for trying out.
exec "$STATE/bin/etcd" --name stack --data-dir "$STATE/data/etcd" --unsafe-no-fsync --log-level warn \
  --listen-client-urls "http://127.0.0.1:$(port etcd)" --advertise-client-urls "http://127.0.0.1:$(port etcd)" \
  --listen-peer-urls "http://127.0.0.1:$(port etcd-peer)" \
  --initial-advertise-peer-urls "http://127.0.0.1:$(port etcd-peer)" \
  --initial-cluster "stack=http://127.0.0.1:$(port etcd-peer)" --quota-backend-bytes 1073741824
