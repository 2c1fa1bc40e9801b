/* Which addresses are everybody's: for hosts whose callers must not reach the host's own network through it. Pure. */
#ifndef SCHEDULER_ASYNC_NETADDR_H
#define SCHEDULER_ASYNC_NETADDR_H

#include <stdbool.h>
#include <sys/socket.h>

/* A global unicast address, IPv4 or IPv6: not loopback, private, link-local, shared, for documentation or benchmarks,
 * multicast or reserved (IANA's special-purpose registries, RFC 6890). IPv6 addresses that stand for an IPv4 one count as
 * that. */
bool netaddr_public(const struct sockaddr *addr);

#endif
