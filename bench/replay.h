/* stoker-bench replay: a trace of calls against policies for warm VMs, on a simulated clock. */
#ifndef BENCH_REPLAY_H
#define BENCH_REPLAY_H

int replay_main(int argc, char **argv); /* argv[0] is "replay"; returns the exit status */

#endif
