#!/bin/bash
# Makes the empty ext4 file system that every guest sees as /tmp; prints its path. As little as
# possible is written to it, here and at mount time: each touched page is private to each guest. The guest grows it to
# the size of its disk (guest-init/mounts.c), which the kernel does not with sparse_super2.
set -eu
. "$(dirname "$(readlink -f "$0")")/lib.sh"

size_mib=512
key=$(hash_of "$size_mib" "@$images_dir/build-scratch.sh" "$(mke2fs -V 2>&1 | head -n 1)")
out=$cache/scratch-$key.img
lock scratch
if [ ! -f "$out" ]; then
	tmp=$(mktemp "$cache/.tmp-scratch.XXXXXX")
	truncate -s "${size_mib}M" "$tmp"
	mke2fs -q -F -t ext4 -b 4096 -m 0 -N 32768 -G 64 -L scratch -U clear -T default \
		-O '^has_journal,^resize_inode,^metadata_csum,^64bit,^huge_file,^dir_nlink,^extra_isize,uninit_bg,flex_bg,extent,sparse_super' \
		-E 'lazy_itable_init=1,nodiscard,root_owner=0:0' "$tmp"
	debugfs -w -R 'set_inode_field / mode 041777' "$tmp" >/dev/null 2>&1
	debugfs -w -R 'rmdir lost+found' "$tmp" >/dev/null 2>&1
	fallocate -d "$tmp"
	chmod 644 "$tmp"
	mv "$tmp" "$out"
	tmp=
fi
echo "$out"
