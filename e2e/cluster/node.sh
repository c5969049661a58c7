# shellcheck shell=bash
# One Kubernetes node on this machine, in a network namespace of its own: control plane, containerd, kubelet, kube-proxy
# and CoreDNS. Sourced by `run`, after the stack's libraries. $NODE is its folder.

CONTAINERD=2.4.2
RUNC=1.5.2
CNI=1.9.1
COREDNS=1.15.0

NETWORK=septem-node
# The node, and this machine on the same wire. Pods and Services are 10.244.0.0/24 and 10.96.0.0/16.
NODE_IP=10.250.0.1
HOST_IP=10.250.0.2
API=https://$NODE_IP:6443
# kubelet sets these for the whole machine; they are put back.
SYSCTLS="vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes"

# `ip netns exec` would hide the cgroups behind a fresh /sys.
inside() { nsenter --net="/run/netns/$NETWORK" -- "$@"; }
containers() { "$NODE/bin/ctr" -a "$NODE/containerd.sock" -n k8s.io "$@"; }

# begin NAME COMMAND...: a process of the node.
begin() {
  local name=$1
  shift
  setsid nsenter --net="/run/netns/$NETWORK" -- "$@" >"$NODE/log/$name.log" 2>&1 </dev/null &
  echo $! >"$NODE/run/$name.pid"
}
end() {
  local pid _
  pid=$(cat "$NODE/run/$1.pid" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 150); do
    alive "$pid" || break
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$NODE/run/$1.pid"
}
# patiently WHAT COMMAND...: until it succeeds, for a minute.
patiently() {
  local what=$1 _
  shift
  for _ in $(seq 600); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  tail -n 5 "$NODE"/log/*.log >&2
  fail "$what: not within a minute; the logs are in $NODE/log"
}

node_tools() {
  local c=github.com/containerd/containerd/v2 p=github.com/containernetworking/plugins/plugins name
  build_kubernetes kubelet kube-proxy kube-scheduler
  for name in containerd containerd-shim-runc-v2 ctr; do
    build "$name" "$CONTAINERD" containerd "$c/cmd/$name" "-s -w -X $c/version.Version=$CONTAINERD"
  done
  CGO=1 TAGS=seccomp build runc "$RUNC" runc github.com/opencontainers/runc "-s -w -X main.version=$RUNC"
  for name in main/bridge main/loopback ipam/host-local meta/portmap; do
    build "cni-${name#*/}" "$CNI" cni "$p/$name" "-s -w"
  done
  build coredns "$COREDNS" coredns github.com/coredns/coredns "-s -w"
  rm -rf "$CACHE/tmp/go-build"
  mkdir -p "$NODE"/{bin,cni,log,run}
  for name in kubelet kube-proxy kube-scheduler; do ln -sfn "$CACHE/bin/$name-$KUBERNETES" "$NODE/bin/$name"; done
  for name in containerd containerd-shim-runc-v2 ctr; do ln -sfn "$CACHE/bin/$name-$CONTAINERD" "$NODE/bin/$name"; done
  ln -sfn "$CACHE/bin/runc-$RUNC" "$NODE/bin/runc"
  for name in bridge loopback host-local portmap; do ln -sfn "$CACHE/bin/cni-$name-$CNI" "$NODE/cni/$name"; done
}

node_network() {
  # shellcheck disable=SC2086  # a list
  sysctl $SYSCTLS >"$NODE/sysctls"
  ip netns add "$NETWORK"
  ip link add septem0 type veth peer name eth0 netns "$NETWORK"
  ip addr add "$HOST_IP/24" dev septem0
  ip link set septem0 up
  inside ip link set lo up
  inside ip addr add "$NODE_IP/24" dev eth0
  inside ip link set eth0 up
  inside ip route add default via "$HOST_IP"
  inside sysctl -qw net.ipv4.ip_forward=1
  # So that this machine reaches pods and Services; the routes end with the wire.
  ip route add 10.244.0.0/16 via "$NODE_IP"
  ip route add 10.96.0.0/16 via "$NODE_IP"
}

node_certificates() (
  umask 077
  mkdir -p "$NODE/pki"
  cd "$NODE/pki"
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
  local pki=$NODE/pki client=http://127.0.0.1:2379 peer=http://127.0.0.1:2380
  begin etcd "$STATE/bin/etcd" --name=node --data-dir="$NODE/etcd" --listen-client-urls=$client --advertise-client-urls=$client \
    --listen-peer-urls=$peer --initial-advertise-peer-urls=$peer --initial-cluster=node=$peer --unsafe-no-fsync --log-level=warn
  patiently etcd inside curl -fsS $client/health
  begin kube-apiserver "$STATE/bin/kube-apiserver" --etcd-servers=$client --bind-address=$NODE_IP --advertise-address=$NODE_IP \
    --secure-port=6443 --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --client-ca-file="$pki/ca.crt" --authorization-mode=Node,RBAC --service-cluster-ip-range=10.96.0.0/16 \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file="$pki/sa.pub" \
    --service-account-signing-key-file="$pki/sa.key" --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
    --kubelet-certificate-authority="$pki/ca.crt"
  patiently "the API server" kubectl get --raw /readyz
  begin kube-controller-manager "$STATE/bin/kube-controller-manager" --kubeconfig="$pki/admin.kubeconfig" --bind-address=127.0.0.1 \
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --use-service-account-credentials=false \
    --leader-elect=false --cert-dir="$NODE/kcm"
  begin kube-scheduler "$NODE/bin/kube-scheduler" --kubeconfig="$pki/scheduler.kubeconfig" --bind-address=127.0.0.1 \
    --leader-elect=false --cert-dir="$NODE/scheduler"
  patiently "the controllers" kubectl get serviceaccount default
}

# A root without CAP_SYS_RESOURCE may not lower the score of a container.
container_runtime() {
  cat >"$NODE/containerd.toml" <<T
version = 3
root = "$NODE/containerd/root"
state = "$NODE/containerd/state"
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
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "$NODE/bin/runc"
  Root = "$NODE/runc"
T
  mkdir -p "$NODE/cni.d"
  cat >"$NODE/cni.d/10-bridge.conflist" <<J
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$NODE/cni-ipam", "ranges": [[{"subnet": "10.244.0.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
J
  begin containerd env PATH="$NODE/bin:$PATH" "$NODE/bin/containerd" -c "$NODE/containerd.toml"
  patiently containerd containers version
}

node_agents() {
  local pki=$NODE/pki
  cat >"$NODE/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$NODE/containerd.sock
address: $NODE_IP
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet.crt
tlsPrivateKeyFile: $pki/kubelet.key
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
resolvConf: $NODE/resolv.conf
podLogsDir: $NODE/log/pods
volumePluginDir: $NODE/volume-plugins
failSwapOn: false
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
healthzBindAddress: 127.0.0.1
Y
  echo "nameserver $HOST_IP" >"$NODE/resolv.conf"
  begin kubelet "$NODE/bin/kubelet" --config="$NODE/kubelet.yaml" --kubeconfig="$pki/node.kubeconfig" \
    --root-dir="$NODE/kubelet" --hostname-override=node --node-ip=$NODE_IP
  cat >"$NODE/kube-proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
bindAddress: 127.0.0.1
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
hostnameOverride: node
clusterCIDR: 10.244.0.0/16
clientConnection: {kubeconfig: $pki/proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
Y
  begin kube-proxy "$NODE/bin/kube-proxy" --config="$NODE/kube-proxy.yaml"
  patiently "the node" kubectl wait node/node --for=condition=Ready --timeout=1s
}

# Pods first, then what runs them, then every mount, wire and folder: nothing is left.
node_down() {
  local pid container mount _
  kubectl delete deployments,daemonsets,statefulsets,jobs,pods --all -A --grace-period=1 --timeout=30s >/dev/null 2>&1 || true
  end kubelet
  end kube-proxy
  for container in $(containers tasks ls -q 2>/dev/null); do
    containers tasks kill -s KILL "$container" >/dev/null 2>&1 || true
  done
  sleep 1
  for container in $(containers containers ls -q 2>/dev/null); do
    containers tasks rm -f "$container" >/dev/null 2>&1 || true
    containers containers rm "$container" >/dev/null 2>&1 || true
  done
  for pid in containerd kube-scheduler kube-controller-manager kube-apiserver etcd; do end $pid; done
  awk -v at="$NODE/" 'index($2, at) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do
    umount "$mount" 2>/dev/null || umount -l "$mount" || true
  done
  for pid in $(ip netns pids "$NETWORK" 2>/dev/null); do kill -9 "$pid" 2>/dev/null || true; done
  ip netns del "$NETWORK" 2>/dev/null || true
  ip link del septem0 2>/dev/null || true
  for mount in /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods; do
    [ ! -d "$mount" ] || find "$mount" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
  [ ! -f "$NODE/sysctls" ] || sysctl -qp "$NODE/sysctls" || true
}
