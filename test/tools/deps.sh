#!/usr/bin/env bash
# Installs what is missing on Debian: deps.sh build|client|test|promtool|browser|fuzz...
# Does nothing, and needs no network, when all of it is there.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=(make gcc libc6-dev pkg-config postgresql-15 postgresql-server-dev-15 libwebsockets-dev
	libwebsockets-evlib-uv libuv1-dev libjwt-dev libjansson-dev libssl-dev libpq-dev libseccomp-dev)
declare -A sets=(
	[build]="${build[*]}"
	[client]="" # node and the npm packages of test/client, see below
	[example]="" # ... of examples/tickets/web
	[test]="libipc-run-perl perl openssl patch python3 python3-socketio python3-aiohttp python3-requests python3-websocket postgresql-contrib nginx-light"
	[promtool]="" # see below
	[fuzz]="clang-14 libclang-rt-14-dev llvm-14"
	[lint]="patch"
	[browser]="chromium procps"
)

missing=()
for set in "$@"; do
	for package in ${sets[$set]?"unknown set $set"}; do
		dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
	done
	if [ "$set" = client ] || [ "$set" = example ]; then
		command -v node >/dev/null || missing+=(nodejs)
		command -v npm >/dev/null || missing+=(npm)
	fi
done

if [ ${#missing[@]} -gt 0 ]; then
	as_root=()
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || {
			echo "missing packages: ${missing[*]}; install them as root and try again" >&2
			exit 1
		}
		as_root=(sudo)
	fi
	apt_install() {
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
	}
	echo "installing: ${missing[*]}"
	"${as_root[@]}" apt-get update -qq

	# A system cluster must neither appear, nor be restarted by an upgrade that
	# comes along: no automatic cluster, and no service is touched meanwhile.
	policy=/usr/sbin/policy-rc.d
	conf=/etc/postgresql-common/createcluster.conf
	restore() {
		if [ -n "${made_policy:-}" ]; then "${as_root[@]}" rm -f "$policy"; fi
		if [ -n "${changed_conf:-}" ]; then "${as_root[@]}" sed -i '/^create_main_cluster = false # pg_rooms$/d' "$conf"; fi
	}
	trap restore EXIT
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
		"${as_root[@]}" chmod +x "$policy"
		made_policy=1
	fi
	apt_install postgresql-common
	echo 'create_main_cluster = false # pg_rooms' | "${as_root[@]}" tee -a "$conf" >/dev/null
	changed_conf=1
	apt_install "${missing[@]}"
	restore
	trap - EXIT
fi

# The one program of Debian's package, which would start a server.  Without
# it, and without network, the test that wants it is skipped.
fetch_promtool() {
	local work
	work=$(mktemp -d)
	if (cd "$work" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .) >/dev/null 2>&1; then
		mkdir -p build
		cp "$work/usr/bin/promtool" build/
	else
		echo "promtool could not be fetched (apt-get download prometheus): the check of /metrics with it is skipped" >&2
	fi
	rm -rf "$work"
}

for set in "$@"; do
	case $set in
	promtool)
		command -v promtool >/dev/null || [ -x build/promtool ] || fetch_promtool
		continue
		;;
	client) folder=test/client ;;
	example) folder=examples/tickets/web ;;
	*) continue ;;
	esac
	# The stamp is the lock file that node_modules was made from.
	if ! cmp -s $folder/package-lock.json $folder/node_modules/.installed; then
		(cd $folder && npm ci --no-audit --no-fund --loglevel=error)
		cp $folder/package-lock.json $folder/node_modules/.installed
	fi
done
