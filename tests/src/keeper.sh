# Keeps one host of the lab: mounts its root, boots it, and boots it again when it reboots.
# It runs in a mount namespace of its own, so nothing of the host is mounted on the machine, and
# all of it is gone with the last process, however that dies.
#
# keeper.sh LOWER UPPER WORK ROOT HIERARCHY GROUP LEAF NETNS MACHINE HOSTNAME
set -eu
lower=$1 upper=$2 work=$3 root=$4 hierarchy=$5 group=$6 leaf=$7 netns=$8 machine=$9
shift 9
hostname=$1

# The leaf is new for every start. If the lab was cleared before this line, it is gone, and so are we.
echo $$ >"$hierarchy/$group/$leaf/cgroup.procs"
mount -t overlay longshore-lab -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"

# systemd-nspawn decides by what is mounted here. Machines with cgroup v1, alone or beside v2, look
# like v2 machines to it from now on.
if [ "$(stat --file-system --format=%T /sys/fs/cgroup)" != cgroup2fs ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
# What nspawn notes down for other tools would stay behind when the host is killed.
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=0755 longshore-lab /run/systemd/nspawn
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1

while :; do
    status=0
    # nspawn divides the cgroup that it finds itself in, so each host must start in its own. It
    # must be empty of others: the unified hierarchy allows processes in leaves only.
    sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "/sys/fs/cgroup/$group/machine" \
        systemd-nspawn --quiet --settings=no --directory="$root" --machine="$machine" \
        --hostname="$hostname" --register=no --keep-unit --link-journal=no --resolv-conf=off \
        --capability=CAP_NET_ADMIN \
        --network-namespace-path="/run/netns/$netns" --console=pipe --boot || status=$?
    # 133 is how nspawn says "reboot" when it keeps its unit.
    [ "$status" = 133 ] || exit "$status"
done
