/* primes: counts the primes below "n" of the event. A function without a language runtime: one
 * static program that speaks the Lambda Runtime API itself.
 *
 *   {"n": 1000000}  ->  {"n":1000000,"primes":78498}
 * By URL (/function/primes?n=1000000) the number is found in the query or the body. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define API     "/2018-06-01/runtime/"
#define MAX_N   10000000u
#define MAX_MSG 65536u

struct message {
	char data[MAX_MSG + 1];
	char id[129];
	char *body;
};

static struct message msg;
static uint8_t composite[MAX_N / 16 + 1]; /* a bit for each odd number */

static int dial(const char *address)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	const char *colon = strrchr(address, ':');
	char host[64];
	int one = 1;
	int fd;

	if (!colon || (size_t)(colon - address) >= sizeof(host))
		return -1;
	memcpy(host, address, (size_t)(colon - address));
	host[colon - address] = '\0';
	sin.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &sin.sin_addr) != 1)
		return -1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return -1;
	return fd;
}

static bool send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* Value of a header line, NULL when absent; name with colon. */
static const char *header(const char *head, const char *name)
{
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, name, strlen(name)) == 0)
			return line + 2 + strlen(name) + strspn(line + 2 + strlen(name), " ");
	}
	return NULL;
}

/* One whole HTTP answer. Returns its status, -1 when the connection ended or it is too long. */
static int receive(int fd, struct message *m)
{
	size_t len = 0, need = 0;

	m->body = NULL;
	while (!m->body || (size_t)(m->data + len - m->body) < need) {
		ssize_t n = len < MAX_MSG ? recv(fd, m->data + len, MAX_MSG - len, 0) : -1;

		if (n <= 0)
			return -1;
		len += (size_t)n;
		m->data[len] = '\0';
		if (!m->body && (m->body = strstr(m->data, "\r\n\r\n"))) {
			const char *value;

			m->body[2] = '\0'; /* ends the head */
			m->body += 4;
			value = header(m->data, "content-length:");
			need = value ? strtoul(value, NULL, 10) : 0;
			value = header(m->data, "lambda-runtime-aws-request-id:");
			snprintf(m->id, sizeof(m->id), "%.*s", value ? (int)strcspn(value, "\r") : 0,
				 value ? value : "");
		}
	}
	return len > 12 ? atoi(m->data + 9) : -1;
}

/* The number behind "n": in the event, or n= in a query; false when there is none in range. */
static bool find_n(const char *event, uint32_t *ret_n)
{
	const char *at = strstr(event, "\"n\"");
	unsigned long v;
	char *end;

	if (at)
		at += 3 + strspn(at + 3, " \t\r\n:\"");
	else if ((at = strstr(event, "n=")))
		at += 2;
	if (!at)
		return false;
	v = strtoul(at, &end, 10);
	if (end == at || v > MAX_N)
		return false;
	*ret_n = (uint32_t)v;
	return true;
}

/* Sieve of Eratosthenes over the odd numbers. */
static uint32_t count_below(uint32_t n)
{
	uint32_t count = n > 2;

	memset(composite, 0, n / 16 + 1);
	for (uint32_t i = 3; i < n; i += 2) {
		if (composite[i / 16] & 1u << i / 2 % 8)
			continue;
		count++;
		for (uint64_t j = (uint64_t)i * i; j < n; j += 2 * i)
			composite[j / 16] |= (uint8_t)(1u << j / 2 % 8);
	}
	return count;
}

static bool serve_one(int fd)
{
	static const char next[] = "GET " API "invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n";
	char body[160], out[640];
	const char *what = "response";
	uint32_t n;
	int len;

	if (!send_all(fd, next, sizeof(next) - 1) || receive(fd, &msg) != 200)
		return false;
	if (find_n(msg.body, &n)) {
		snprintf(body, sizeof(body), "{\"n\":%u,\"primes\":%u}", n, count_below(n));
	} else {
		what = "error";
		snprintf(body, sizeof(body),
			 "{\"errorType\":\"BadEvent\",\"errorMessage\":\"n must be a number up to %u\"}", MAX_N);
	}
	len = snprintf(out, sizeof(out),
		       "POST " API "invocation/%s/%s HTTP/1.1\r\nHost: runtime\r\n"
		       "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		       msg.id, what, strlen(body), body);
	return send_all(fd, out, (size_t)len) && receive(fd, &msg) == 202;
}

int main(void)
{
	const char *address = getenv("AWS_LAMBDA_RUNTIME_API");
	int fd = address ? dial(address) : -1;

	if (fd < 0) {
		fprintf(stderr, "primes: no Runtime API at %s\n", address ? address : "AWS_LAMBDA_RUNTIME_API (unset)");
		return 1;
	}
	count_below(1000); /* touches what the first call needs */
	while (serve_one(fd))
		;
	return 1;
}
