#!/bin/sh
# Checks the arrows between folders (doc/ARCHITECTURE.md): who may include whose headers.
# Every project header is included by its path from the root, so the first part of the path tells
# the owner. Prints each offending line; exit status 1 when there is one.
set -eu
cd "${STOKER_SRC:-$(dirname "$0")/..}"

includes=$(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]' --include='*.[ch]' \
	common snapshots jail vmm guest-init scheduler bench examples)

# Who: a folder (longest match wins below). May include: patterns of folders.
offences=$(printf '%s\n' "$includes" | awk '
function owner(path) {
	if (path ~ /^common\/base\//) return "base"
	if (path ~ /^common\/host\//) return "host"
	if (path ~ /^scheduler\/policy\//) return "policy"
	if (path ~ /^snapshots\/tool\//) return "snapshots-tool"
	if (path ~ /^vmm\/api\//) return "vmm-api"
	if (path ~ /^vmm\/devices\//) return "vmm-devices"
	if (path ~ /^vmm\/backends\//) return "vmm-backends"
	if (path ~ /^vmm\//) return "vmm"
	sub(/\/.*/, "", path)
	return path
}
BEGIN {
	may["base"] = " base "
	may["host"] = " host base "
	may["jail"] = " jail base "
	may["snapshots"] = " snapshots base "
	may["snapshots-tool"] = " snapshots-tool snapshots host jail base "
	may["vmm-backends"] = " vmm-backends base "
	may["vmm-devices"] = " vmm-devices vmm-backends vmm snapshots base "
	may["vmm"] = " vmm vmm-api vmm-devices vmm-backends snapshots jail host base "
	may["vmm-api"] = " vmm-api vmm vmm-devices vmm-backends snapshots jail host base "
	may["policy"] = " policy base "
	may["scheduler"] = " scheduler policy snapshots jail host base "
	may["guest-init"] = " guest-init base "
	may["bench"] = " bench policy host base "
	may["examples"] = " examples "
}
{
	line = $0
	file = line; sub(/:.*/, "", file)
	from = owner(file)
	inc = line; sub(/^[^#]*#[[:space:]]*include[[:space:]]*/, "", inc)
	system_header = inc ~ /^</
	sub(/^["<]/, "", inc); sub(/[">].*/, "", inc)

	if (system_header) {
		# Nothing below the API layer of the monitor knows JSON or HTTP; base knows only libc.
		if (inc ~ /^(jansson|llhttp)\.h$/ && from ~ /^(vmm-devices|vmm-backends)$/) print line
		if (inc ~ /^(jansson|llhttp|uv|archive|sqlite3|seccomp|openssl\/.*)(\.h)?$/ &&
		    from ~ /^(base|policy|guest-init|examples)$/) print line
		next
	}
	if (inc !~ /\//) {	# generated headers and config.h live in the build folder
		next
	}
	to = owner(inc)
	if (index(may[from], " " to " ") == 0) { print line; next }
	# Only the program file of the monitor reaches up to the API: the VM and its devices know no HTTP.
	if (from == "vmm" && file !~ /^vmm\/(main|options|configfile)[a-z_]*\.[ch]$/ &&
	    (inc ~ /^common\/host\/(http_|router|json_)/ || inc ~ /^vmm\/api\//)) print line
	# Backends never see guest memory.
	if (from == "vmm-backends" && inc ~ /gmem\.h$/) print line
}')

if [ -n "$offences" ]; then
	echo "includes against the arrows of the architecture:"
	printf '%s\n' "$offences"
	exit 1
fi
echo "$(printf '%s\n' "$includes" | wc -l) includes follow the arrows"
