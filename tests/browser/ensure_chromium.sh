#!/usr/bin/env bash
# Installs Debian's Chromium and a Japanese font if they are missing and this user may.
set -euo pipefail
if command -v chromium >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk >/dev/null
  exit 0
fi
echo "The browser tests need Chromium: run 'sudo apt-get install chromium fonts-noto-cjk', then 'make test' again." >&2
exit 1
