#!/bin/sh
# Makes sure that there is a Chromium: on PATH, else by apt as root, else by Playwright, else one clear error.
set -u
bin=.venv/bin

found() {
    "$bin/python" -c 'from mmi_gui.chromium import find_chromium; find_chromium()' 2>/dev/null
}

found && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing Chromium by apt ..."
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null && found && exit 0
fi
echo "installing Chromium by Playwright ..."
"$bin/playwright" install chromium >/dev/null 2>&1 && found && exit 0
echo "error: no Chromium was found and none could be installed: install the package chromium, or set MMI_CHROMIUM" >&2
exit 1
