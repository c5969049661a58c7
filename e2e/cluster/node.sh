# shellcheck shell=bash
# One Kubernetes node in the namespaces that `run` makes: control plane, containerd, kubelet, kube-proxy and DNS. Sourced
# by `story`; nothing here ends a process or unmounts anything, since all of it ends with the namespaces.

# The node's address; pods have 10.244.0.0/24, Services 10.96.0.0/16.
NODE_IP=10.250.0.1
API=https://$NODE_IP:6443
NODE=$WORK/node
PKI=$NODE/pki

# This process and what it starts see only their own control groups.
own_groups() {
  local mounts place kind options controllers
  mounts=$(awk '($3 == "cgroup" || $3 == "cgroup2") && index($2, "/sys/fs/cgroup/") == 1 { print $2, $3, $4 }' /proc/mounts)
  umount -R /sys/fs/cgroup
  mount -t tmpfs tmpfs /sys/fs/cgroup
  while read -r place kind options; do
    controllers=$(printf %s "$options" | tr , '\n' | grep -vE '^(rw|ro|nosuid|nodev|noexec|relatime|xattr|clone_children|release_agent=.*)$' |
      paste -sd, || true)
    mkdir "$place"
    mount -t "$kind" ${controllers:+-o "$controllers"} "$kind" "$place"
  done <<<"$mounts"
}

# What a node writes to outside of its folder is covered by folders of its own.
own_files() {
  local name
  mount --make-rshared /
  mkdir -p "$ROOT/.stack" "$WORK"/{stack,var/lib,var/log,var/tmp} "$NODE"/{log,sysctl}
  ln -s /run "$WORK/var/run"
  chmod 1777 "$WORK/var/tmp"
  mount --bind "$WORK/stack" "$ROOT/.stack"
  mount --bind "$WORK/var" /var
  mount -t tmpfs tmpfs /run
  mount -t tmpfs tmpfs /dev/shm
  # The kubelet sets these for the whole machine unless it finds them so.
  for name in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    echo "${name#*=}" >"$NODE/sysctl/$(basename "${name%=*}")"
    mount --bind "$NODE/sysctl/$(basename "${name%=*}")" "/proc/sys/${name%=*}"
  done
}

own_network() {
  hostname node
  ip link set lo up
  ip addr add "$NODE_IP/32" dev lo
  # Without a route, nothing is sent to a Service from here before kube-proxy's rules turn it to a pod.
  ip route add 10.96.0.0/16 dev lo src "$NODE_IP"
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

# begin NAME COMMAND...: a process of the node.
begin() {
  local name=$1
  shift
  "$@" >"$NODE/log/$name.log" 2>&1 </dev/null &
}
# patiently WHAT COMMAND...: until it succeeds, for a minute.
patiently() {
  local what=$1 _
  shift
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  tail -n 8 "$NODE"/log/*.log >&2
  fail "$what: not within a minute"
}
containers() { "$CACHE/bin/ctr-$CONTAINERD" -a "$NODE/containerd.sock" -n k8s.io "$@"; }

node_certificates() (
  umask 077
  mkdir -p "$PKI"
  cd "$PKI" || exit
  authority
  certificate apiserver /CN=kube-apiserver serverAuth "IP:$NODE_IP"
  certificate kubelet /CN=node serverAuth "IP:$NODE_IP"
  certificate kubelet-client /O=system:masters/CN=kubelet-client clientAuth
  certificate admin /O=system:masters/CN=admin clientAuth
  certificate scheduler /CN=system:kube-scheduler clientAuth
  certificate proxy /CN=system:kube-proxy clientAuth
  certificate node /O=system:nodes/CN=system:node:node clientAuth
  local name
  for name in admin scheduler proxy node; do kubeconfig $name "$API" >$name.kubeconfig; done
) >"$NODE/log/certificates.log" 2>&1

control_plane() {
  local client=http://127.0.0.1:2379 peer=http://127.0.0.1:2380
  begin etcd "$STATE/bin/etcd" --name=node --data-dir="$NODE/etcd" --listen-client-urls=$client --advertise-client-urls=$client \
    --listen-peer-urls=$peer --initial-advertise-peer-urls=$peer --initial-cluster=node=$peer --unsafe-no-fsync --log-level=warn
  patiently etcd curl -fsS $client/health
  begin kube-apiserver "$STATE/bin/kube-apiserver" --etcd-servers=$client --bind-address="$NODE_IP" --advertise-address="$NODE_IP" \
    --secure-port=6443 --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --client-ca-file="$PKI/ca.crt" --authorization-mode=Node,RBAC --service-cluster-ip-range=10.96.0.0/16 \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file="$PKI/sa.pub" \
    --service-account-signing-key-file="$PKI/sa.key" --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$PKI/kubelet-client.crt" --kubelet-client-key="$PKI/kubelet-client.key" \
    --kubelet-certificate-authority="$PKI/ca.crt" --profiling=false
  patiently "the API server" kubectl get --raw /readyz
  begin kube-controller-manager "$STATE/bin/kube-controller-manager" --kubeconfig="$PKI/admin.kubeconfig" --bind-address=127.0.0.1 \
    --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" --use-service-account-credentials=false \
    --leader-elect=false --profiling=false --cert-dir="$NODE/controller-manager"
  begin kube-scheduler "$CACHE/bin/kube-scheduler-$KUBERNETES" --kubeconfig="$PKI/scheduler.kubeconfig" --bind-address=127.0.0.1 \
    --leader-elect=false --profiling=false --cert-dir="$NODE/scheduler"
  patiently "the controllers" kubectl get serviceaccount default
}

container_runtime() {
  local name
  mkdir -p "$NODE"/{bin,cni,cni.d}
  for name in containerd containerd-shim-runc-v2; do ln -s "$CACHE/bin/$name-$CONTAINERD" "$NODE/bin/$name"; done
  for name in bridge loopback host-local; do ln -s "$CACHE/bin/cni-$name-$CNI" "$NODE/cni/$name"; done
  # The score: a root without CAP_SYS_RESOURCE may not lower that of a container.
  cat >"$NODE/containerd.toml" <<T
version = 3
root = "$NODE/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.blockfile", "io.containerd.nri.v1.nri"]
[grpc]
  address = "$NODE/containerd.sock"
[ttrpc]
  address = "$NODE/containerd.ttrpc"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/tools:1"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["$NODE/cni"]
  conf_dir = "$NODE/cni.d"
T
  cat >"$NODE/cni.d/10-bridge.conflist" <<J
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
J
  begin containerd env PATH="$NODE/bin:$PATH" containerd -c "$NODE/containerd.toml"
  patiently containerd containers version
  for name in "$WORK"/images/*.tar; do containers images import "$name" >>"$NODE/log/images.log" 2>&1; done
}

node_agents() {
  cat >"$NODE/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$NODE/containerd.sock
address: $NODE_IP
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
clusterDNS: [$NODE_IP]
clusterDomain: cluster.local
resolvConf: ""
volumePluginDir: $NODE/volume-plugins
failSwapOn: false
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
healthzBindAddress: 127.0.0.1
Y
  begin kubelet "$CACHE/bin/kubelet-$KUBERNETES" --config="$NODE/kubelet.yaml" --kubeconfig="$PKI/node.kubeconfig" \
    --hostname-override=node --node-ip="$NODE_IP"
  cat >"$NODE/kube-proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
bindAddress: 127.0.0.1
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
hostnameOverride: node
clusterCIDR: 10.244.0.0/16
clientConnection: {kubeconfig: $PKI/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
Y
  begin kube-proxy "$CACHE/bin/kube-proxy-$KUBERNETES" --config="$NODE/kube-proxy.yaml"
  printf '. {\n bind %s\n errors\n kubernetes cluster.local {\n  kubeconfig %s\n }\n}\n' \
    "$NODE_IP" "$PKI/admin.kubeconfig" >"$NODE/Corefile"
  begin coredns "$CACHE/bin/coredns-$COREDNS" -conf "$NODE/Corefile"
  patiently "the node" kubectl wait node/node --for=condition=Ready --timeout=1s
}
