#!/bin/sh
# Installs other projects' servers from Debian's packages, without starting any of them, and
# what the tests of partitions, of completion scripts and of the gRPC server need.
set -eu
missing=
command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
command -v zookeeper-server >/dev/null 2>&1 || [ -d /usr/share/zookeeper ] || missing="$missing zookeeper"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
command -v etcdctl >/dev/null 2>&1 || missing="$missing etcd-client"
command -v h2load >/dev/null 2>&1 || missing="$missing nghttp2-client"
for shell in zsh fish; do
    command -v "$shell" >/dev/null 2>&1 || missing="$missing $shell"
done
[ -n "$missing" ] || exit 0
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086  a list of packages
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
