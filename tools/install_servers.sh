#!/bin/sh
# Install the PostgreSQL 15 server programs that a part of the tests runs on, from the system's packages.
set -eu
if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then sudo=""; else sudo="sudo"; fi
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql-15 >/dev/null
else
    echo "PostgreSQL 15 is not here and there is no apt-get; install it, or run: make test SERVERS=18" >&2
    exit 2
fi
