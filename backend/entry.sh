#!/bin/sh
# How the container becomes who it is to run as, before the command: PUID and PGID of a container that starts as
# root. One that starts as somebody else (`user:`, `--user`) can't become anybody: there, they may only agree.
set -eu

say() {
    echo "nas-music: $1" >&2
    exit 2
}

number() {
    case $2 in
        '' | *[!0-9]* | ??????????*) say "$1 is a number such as 1000, as \`id\` shows it." ;;
    esac
}

uid=$(id -u)
gid=$(id -g)
user=${PUID:-}
group=${PGID:-}
if [ "$uid" = 0 ]; then
    user=${user:-1000}
    group=${group:-1000}
fi
user=${user:-$uid}
group=${group:-$gid}
number PUID "$user"
number PGID "$group"

if [ "$user" = "$uid" ] && [ "$group" = "$gid" ]; then
    exec "$@" # PUID=0 too, which is the person's own account where root in the container is (rootless)
fi
if [ "$uid" != 0 ]; then
    say "PUID and PGID ask for $user:$group, but this container runs as $uid:$gid. Start it with the option \
--user $user:$group, or as root with --user 0."
fi

# Whoever may become somebody else may also give up the means to; nothing after this gets any right back.
become="setpriv --reuid $user --regid $group --clear-groups --no-new-privs --inh-caps=-all"
$become true 2>/dev/null || say "This container may not change its user. Give it the capabilities SETUID and SETGID, or \
start it with the option --user $user:$group and without PUID and PGID."
exec $become -- "$@"
