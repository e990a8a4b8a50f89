#!/bin/sh
# Install what the tests need beside the embedded server, and only what is missing, from the system's packages:
# the programs of PostgreSQL 15, PgBouncer, and Prometheus (20 MB to fetch). With arguments, only those: postgresql-15,
# pgbouncer, prometheus.
set -eu
if [ "$#" = 0 ]; then set -- postgresql-15 pgbouncer prometheus; fi
missing=""
for package in "$@"; do
    case "$package" in
        pgbouncer) PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v pgbouncer >/dev/null || missing="$missing $package" ;;
        prometheus) command -v prometheus >/dev/null || missing="$missing $package" ;;
        postgresql-*) test -x "/usr/lib/postgresql/${package#postgresql-}/bin/initdb" || missing="$missing $package" ;;
        *) echo "$0: $package is none of postgresql-NN, pgbouncer, prometheus" >&2; exit 2 ;;
    esac
done
if [ -z "$missing" ]; then exit 0; fi
if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then sudo=""; else sudo="sudo"; fi
    $sudo apt-get update -qq
    # shellcheck disable=SC2086  # several packages
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "Not here, and there is no apt-get to install it:$missing." >&2
    echo "Install it; without PostgreSQL 15, run: make test SERVERS=18" >&2
    exit 2
fi
