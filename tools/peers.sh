#!/bin/sh
# Installs other projects' servers from Debian's packages, without starting any of them.
set -eu
if command -v zookeeper-server >/dev/null 2>&1 || [ -d /usr/share/zookeeper ]; then
    exit 0
fi
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends zookeeper
