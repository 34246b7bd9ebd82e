# Installing packages and dropping privileges, for demo/run and tests/run. Source it; call the functions.
# shellcheck shell=bash

# Where Debian's packages put programs. A program in somebody's own folders is not there for the account that tests and demonstrates.
STANDARD_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# package_list USE...: the packages for these uses that are not there yet.
package_list() {
    local package uses command use
    while read -r package uses command; do
        case $package in '' | '#'*) continue ;; esac
        for use in build "$@"; do
            case ",$uses," in *",$use,"*) ;; *) continue ;; esac
            [ -n "$command" ] && PATH=$STANDARD_PATH command -v "$command" >/dev/null 2>&1 && break
            dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
            break
        done
    done <"$SLUICE_TOP/packages.txt"
}

# Run as root, directly or through sudo; fails when neither is possible.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# While packages are configured no service may start; one that is there already is left as it is.
install_quietly() {
    # shellcheck disable=SC2016
    as_root bash -c '
        set -eu
        policy=/usr/sbin/policy-rc.d saved=
        if [ -e $policy ]; then saved=$policy.sluice-saved; mv $policy $saved; fi
        printf "#!/bin/sh\nexit 101\n" >$policy; chmod 755 $policy
        trap "rm -f $policy; [ -z \"$saved\" ] || mv $saved $policy" EXIT
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends --no-upgrade "$@" >/dev/null
    ' install "$@"
}

# install_packages USE...: everything in packages.txt for these uses, or the reason why not.
install_packages() {
    local missing
    missing=$(package_list "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null 2>&1; then
        echo "These Debian packages are needed, and there is neither root nor sudo to install them:" >&2
        echo "  apt-get install --no-install-recommends $missing" >&2
        return 1
    fi
    echo "Installing Debian packages: $missing"
    # shellcheck disable=SC2086
    install_quietly $missing
}

# make_account USER HOME: make the account and its folder when they are not there.
make_account() {
    if ! id "$1" >/dev/null 2>&1; then
        useradd --system --home-dir "$2" --shell /usr/sbin/nologin "$1"
    fi
    install -d -o "$1" -g "$1" -m 755 "$2"
}

# copy_tree TO USER: the project's files (no build, no history) as they are now, owned by USER. What is written is written
# as USER: in a folder of that account root follows no link that the account may have put there.
copy_tree() {
    # shellcheck disable=SC2016
    run_as "$2" bash -eu -c 'mkdir -p "$1" && find "$1" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +' - "$1"
    tar -C "$SLUICE_TOP" --exclude=./build --exclude=./.git --mode=u+w -cf - . | run_as "$2" tar -C "$1" -xpf - --no-same-owner
}

# run_as USER COMMAND...
run_as() {
    local user=$1
    shift
    setpriv --reuid "$user" --regid "$user" --clear-groups -- env PATH=$STANDARD_PATH HOME="$(getent passwd "$user" | cut -d: -f6)" USER="$user" "$@"
}
