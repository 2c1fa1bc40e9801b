/* Programs that every call runs, moved into huge pages of memory.
 *
 * What a program's file has in the page cache lies anywhere in memory, among pages that are written to. A file in a
 * tmpfs of huge pages begins at a multiple of 2 MiB and has that stretch for itself: its content alone says what is
 * there, nothing in it is ever written, and so all clones, of this function and of others that run the same program,
 * share the stretch, and the host maps it in one go (shared blocks of memory).
 *
 * It is only about speed: what goes wrong is logged and the program runs from where it was. Root in the guest. */
#ifndef GUEST_INIT_HOTFILES_H
#define GUEST_INIT_HOTFILES_H

/* Starts this program anew from such a file, when it was started by the kernel from the initial RAM disk. Before
 * anything is mounted or opened. Returns when there is nothing (more) to do. */
void hotfiles_self(char **argv);

/* The runtime that `bootstrap` (a path) will start: the file itself when it is a program, and the files that `list`
 * names, if it is there, one path in a line. Each is replaced in its place, read-only. Needs /run. */
void hotfiles_runtime(const char *bootstrap, const char *list);

#endif
